"""One step of a training: both encoders, the contrast over the whole batch, the optimiser."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from nsi_cli.data.loading.batch import Batch
from nsi_cli.models.backbones.base import Backbone
from nsi_cli.models.features import features_of
from nsi_cli.models.nsi import NSI
from nsi_cli.models.slot_init import slot_noise
from nsi_cli.support.errors import NsiError
from nsi_cli.training.config import TrainConfig
from nsi_cli.training.contrastive import Embedded, contrast, joined
from nsi_cli.training.distributed import ProcessGroup

LOSS, RECALL = "loss", "R@1"

Told = dict[str, float]
"""Measures of a batch by the names they are logged by."""


class Encoders(nn.Module):
    """A model as the module that Fabric wraps: from features and primitives to what a loss needs.

    It returns a plain dictionary, since Fabric walks through what a module returns and cannot
    walk through frozen records.
    """

    def __init__(self, model: NSI) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, features: Tensor, primitives: Tensor, present: Tensor, noise: Tensor
    ) -> dict[str, Tensor]:
        """Features (n, N, C), primitives (n, T, W), present (n, T), noise (n, K, D).

        Gives the embeddings ``slots`` (n, K, E) and ``primitives`` (n, T, E), and ``error``, the
        sum over the n images of the reconstruction loss of each.
        """
        learned = self.model.learn(features, primitives, present, noise)
        return {
            "slots": learned.slots,
            "primitives": learned.primitives,
            "error": learned.error * len(features),
        }


class NotFinite(NsiError):
    """A loss or a gradient is infinite or no number; ``told`` are the measures of its batch."""

    def __init__(self, what: str, told: Told) -> None:
        super().__init__(f"the {what} is not finite", "lower --lr, or --precision 32")
        self.what, self.told = what, told


@dataclass(frozen=True)
class Piece:
    """The scenes that go through the model at once, with the chance that belongs to them."""

    features: Tensor  # (n, N, C)
    primitives: Tensor  # (n, T, W)
    present: Tensor  # (n, T) bool
    annotated: Tensor  # (n,) bool
    noise: Tensor  # (n, K, D)
    seed: int  # of the dropout


class Step:
    """Takes optimiser steps on L = w·L_con + β·L_rec over global batches.

    Every process puts its part of a batch through the encoders, piece by piece where
    ``micro_batch_size`` says so. The contrast is taken outside of the encoders, over the
    embeddings of the whole batch, and its gradient handed back to them (as Gao et al. 2021,
    "Scaling deep contrastive learning batch size under memory limited setup"). With one piece the
    graph of the first pass serves; with more, each piece is encoded once to know its embeddings
    and a second time, with the same dropout, to carry the gradient. Either way the gradient is
    exactly that of one process with the whole batch.
    """

    def __init__(self, config: TrainConfig, model: NSI, backbone: Backbone, fabric: Fabric) -> None:
        self.config, self.group = config, ProcessGroup(fabric)
        self._model, self._backbone, self._fabric = model, backbone, fabric
        adam = torch.optim.Adam(model.parameters(), lr=config.lr)
        encoders: nn.Module = Encoders(model)
        if config.compile:
            encoders = torch.compile(encoders)  # type: ignore[assignment]
        self._encoders, self.optimizer = fabric.setup(encoders, adam)

    def train(self, batch: Batch, annotated: Tensor, step: int, size: int) -> Told:
        """The loss of this process's part of a batch of ``size`` scenes, and its gradient.

        All chance is a function of the seed, the step and the place in the batch; that of the
        dropout, of the process too. Returns the measures of the whole batch. Raises `NotFinite`,
        in every process alike, before any gradient is there.
        """
        self._encoders.train()
        positions = self.group.share(size)
        noise = slot_noise(self.config, seed=self.config.seed, step=step, positions=positions)
        pieces = list(self._pieces(batch, annotated, noise, step))
        with torch.set_grad_enabled(len(pieces) == 1):
            outputs = [self._encode(piece) for piece in pieces]
        told, own = self._contrast(pieces, outputs, size, wants_gradient=True)
        if not math.isfinite(told[LOSS]):
            raise NotFinite("loss", told)
        self.optimizer.zero_grad(set_to_none=True)
        self._backward(pieces, outputs, own, size)
        return told

    def update(self, told: Told, rate: float) -> float:
        """Clip the gradient, move the weights, and return the gradient's norm before.

        Raises `NotFinite`; the weights are then untouched.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        norm = self._clip()
        # The scaler of 16-mixed leaves such a step out by itself, and goes on.
        if self.config.precision != "16-mixed" and not math.isfinite(norm):
            raise NotFinite("gradient", told)
        self.optimizer.step()
        return norm

    def _clip(self) -> float:
        """Clip the gradient of what ``clip`` names; return the norm of all of it before."""
        limit, both = self.config.grad_clip, self.config.clip == "both"
        # Fabric undoes the loss's scale, and always clips what the optimiser holds.
        norm = self._fabric.clip_gradients(
            self._encoders,
            self.optimizer,
            max_norm=limit if both else math.inf,
            error_if_nonfinite=False,
        )
        if not both:
            nn.utils.clip_grad_norm_(self._model.image_encoder.parameters(), limit)
        return float(norm)  # type: ignore[arg-type]

    @torch.no_grad()
    def measure(self, batch: Batch, size: int) -> Told:
        """The measures of a batch that nothing is learned from; noise belongs to the scene."""
        self._encoders.eval()
        annotated = torch.ones(len(batch), dtype=torch.bool, device=batch.present.device)
        pieces = list(self._pieces(batch, annotated, self.noise_of(batch), 0))
        outputs = [self._encode(piece) for piece in pieces]
        return self._contrast(pieces, outputs, size, wants_gradient=False)[0]

    def noise_of(self, batch: Batch) -> Tensor:
        """The slot noise (n, K, D) of scenes that are only looked at."""
        places = batch.index.tolist()
        return slot_noise(self.config, seed=self.config.seed, step=None, positions=places)

    def _pieces(self, batch: Batch, annotated: Tensor, noise: Tensor, step: int) -> Iterator[Piece]:
        size = self.config.micro_batch_size or len(batch)
        like = next(self._model.parameters())
        for number, start in enumerate(range(0, len(batch), size)):
            cut = slice(start, start + size)
            part = batch.rows(cut)
            seed = np.random.SeedSequence([self.config.seed, step, self.group.rank, number])
            yield Piece(
                features_of(part, self._backbone).to(like),
                part.primitives.to(like.dtype),
                part.present,
                annotated[cut],
                noise[cut].to(like),
                int(seed.generate_state(1)[0]),
            )

    def _encode(self, piece: Piece) -> dict[str, Tensor]:
        torch.manual_seed(piece.seed)
        outputs: dict[str, Tensor] = self._encoders(
            piece.features, piece.primitives, piece.present, piece.noise
        )
        return outputs

    def _contrast(
        self, pieces: list[Piece], outputs: list[dict[str, Tensor]], size: int, *,
        wants_gradient: bool,
    ) -> tuple[Told, list[tuple[Tensor, Tensor]]]:  # fmt: skip
        """The measures of the whole batch; and ∂L_con/∂(slots, primitives) for each piece."""
        config = self.config
        embedded = [
            Embedded(output["slots"], output["primitives"], piece.present, piece.annotated)
            for piece, output in zip(pieces, outputs, strict=True)
        ]
        own = joined(embedded).leaves()
        wants_gradient = wants_gradient and config.contrastive_weight > 0
        with torch.set_grad_enabled(wants_gradient):
            share = contrast(own, self.group, size, tau=config.tau, alignment=config.alignment)
        told = self._told(share.loss, share.hits, outputs, share.scenes, size)
        if not (wants_gradient and share.scenes):
            return told, []
        slots, primitives = torch.autograd.grad(share.loss, (own.slots, own.primitives))
        sizes = [len(piece.present) for piece in pieces]
        pieces_of = (torch.split(slots, sizes), torch.split(primitives, sizes))
        return told, list(zip(*pieces_of, strict=True))

    def _told(
        self, contrastive: Tensor, hits: Tensor, outputs: list[dict[str, Tensor]], scenes: int,
        size: int,
    ) -> Told:  # fmt: skip
        error = torch.stack([output["error"].detach() for output in outputs]).sum()
        sums = self.group.totals([contrastive, error, hits])
        reconstruction = sums[1] / size
        return {
            LOSS: self.config.contrastive_weight * sums[0] + self.config.beta * reconstruction,
            "contrastive": sums[0],
            "reconstruction": reconstruction,
            RECALL: sums[2] / max(1, scenes),
        }

    def _backward(
        self, pieces: list[Piece], outputs: list[dict[str, Tensor]],
        gradients: list[tuple[Tensor, Tensor]], size: int,
    ) -> None:  # fmt: skip
        """Carry the gradient through the encoders.

        What is put through them is linear in their outputs, with the gradient of the whole loss.
        """
        alone = len(pieces) == 1
        for number, piece in enumerate(pieces):
            more = number + 1 < len(pieces)
            with self._fabric.no_backward_sync(self._encoders, enabled=more):
                output = outputs[0] if alone else self._encode(piece)
                linear = self.config.beta / size * output["error"]
                for part, name in enumerate(("slots", "primitives")):
                    pull = gradients[number][part] if gradients else torch.zeros(())
                    linear = (
                        linear
                        + self.config.contrastive_weight
                        * (output[name] * pull.to(output[name].device)).sum()
                    )
                # Wrapped in data parallelism, gradients are averaged; here they must be summed.
                self._fabric.backward(linear * self.group.count)
