"""One step of a training: both encoders, the contrastive loss over the whole batch, Adam."""

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
from nsi_cli.models.nsi import NSI, LossTerms
from nsi_cli.models.slot_init import slot_noise
from nsi_cli.models.token_sample import token_sample
from nsi_cli.support.errors import NsiError
from nsi_cli.training.config import TrainConfig
from nsi_cli.training.contrastive import Embeddings, concatenate, contrast
from nsi_cli.training.distributed import ProcessGroup

LOSS, RECALL = "loss", "R@1"

Metrics = dict[str, float]
"""The metrics of a batch, by the names under which they are logged."""


class Encoders(nn.Module):
    """The module that Fabric wraps: features and primitives to the terms of the loss."""

    def __init__(self, model: NSI) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, features: Tensor, primitives: Tensor, present: Tensor, noise: Tensor,
        sample: Tensor | None,
    ) -> LossTerms:  # fmt: skip
        """Features (n, N, C), primitives (n, T, W), present (n, T), noise (n, K, D).

        ``sample`` (n, M) are the tokens to decode, None for all. ``error`` of the result is the sum
        of the n images' errors, not their mean.
        """
        terms = self.model.learn(features, primitives, present, noise, sample)
        return terms._replace(error=terms.error * len(features))


class NotFinite(NsiError):
    """A loss or a gradient is infinite or NaN; ``metrics`` are those of its batch."""

    def __init__(self, what: str, metrics: Metrics) -> None:
        super().__init__(f"the {what} is not finite", "lower --lr, or --precision 32")
        self.what, self.metrics = what, metrics


@dataclass(frozen=True)
class MicroBatch:
    """Scenes that go through the model together, with all that is drawn for them."""

    features: Tensor  # (n, N, C)
    primitives: Tensor  # (n, T, W)
    present: Tensor  # (n, T) bool
    annotated: Tensor  # (n,) bool
    noise: Tensor  # (n, K, D)
    sample: Tensor | None  # (n, M), the tokens to decode; None for all
    seed: int  # of the dropout


class Step:
    """Takes optimizer steps on L = w·L_con + β·L_rec over global batches.

    Every process puts its part of a batch through the encoders, in micro-batches of
    ``micro_batch_size``. The contrastive loss is computed outside the encoders, over the
    embeddings of the whole batch, and its gradient is passed back to them (Gao et al. 2021,
    "Scaling deep contrastive learning batch size under memory limited setup"). A single
    micro-batch is encoded once. Several are encoded first without a graph, for their embeddings,
    and again with the same dropout, for the gradient. The gradient is exactly that of one process
    with the whole batch.
    """

    def __init__(self, config: TrainConfig, model: NSI, backbone: Backbone, fabric: Fabric) -> None:
        self.config, self.group = config, ProcessGroup(fabric)
        self._model, self._backbone, self._fabric = model, backbone, fabric
        adam = torch.optim.Adam(model.parameters(), lr=config.lr)
        encoders: nn.Module = Encoders(model)
        if config.compile:
            encoders = torch.compile(encoders)  # type: ignore[assignment]
        self._encoders, self.optimizer = fabric.setup(encoders, adam)

    def train(self, batch: Batch, annotated: Tensor, step: int, size: int) -> Metrics:
        """Compute the gradient of a batch of ``size`` scenes, of which ``batch`` is a part.

        Returns the metrics of the whole batch. Slot noise and the sample of tokens are functions of
        the seed, the step and the position in the batch; dropout depends on the process too. Raises
        `NotFinite` in every process, before any gradient is computed.
        """
        self._encoders.train()
        config, positions = self.config, self.group.share(size)
        noise = slot_noise(config, seed=config.seed, step=step, positions=positions)
        sample = None
        if config.decode_tokens:
            sample = token_sample(
                self._backbone.num_tokens, config.decode_tokens,
                seed=config.seed, step=step, positions=positions,
            )  # fmt: skip
        micro_batches = list(self._micro_batches(batch, annotated, noise, sample, step))
        with torch.set_grad_enabled(len(micro_batches) == 1):
            outputs = [self._encode(micro_batch) for micro_batch in micro_batches]
        metrics, own = self._contrast(micro_batches, outputs, size, wants_gradient=True)
        if not math.isfinite(metrics[LOSS]):
            raise NotFinite("loss", metrics)
        self.optimizer.zero_grad(set_to_none=True)
        self._backward(micro_batches, outputs, own, size)
        return metrics

    def update(self, metrics: Metrics, rate: float) -> float:
        """Clip the gradient, update the weights, and return the norm before clipping.

        Raises `NotFinite`; the weights are then unchanged.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        norm = self._clip()
        # The gradient scaler of 16-mixed skips such a step by itself.
        if self.config.precision != "16-mixed" and not math.isfinite(norm):
            raise NotFinite("gradient", metrics)
        self.optimizer.step()
        return norm

    def _clip(self) -> float:
        """Clip the gradient that ``clip`` names; return the norm of the whole gradient before."""
        limit, both = self.config.grad_clip, self.config.clip == "both"
        # Fabric unscales the gradient, and always clips all that the optimizer holds.
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
    def measure(self, batch: Batch, size: int) -> Metrics:
        """The metrics of a batch without training on it; slot noise is a function of the scene.

        All tokens are decoded.
        """
        self._encoders.eval()
        annotated = torch.ones(len(batch), dtype=torch.bool, device=batch.present.device)
        micro_batches = list(self._micro_batches(batch, annotated, self.noise_of(batch), None, 0))
        outputs = [self._encode(micro_batch) for micro_batch in micro_batches]
        return self._contrast(micro_batches, outputs, size, wants_gradient=False)[0]

    def noise_of(self, batch: Batch) -> Tensor:
        """The slot noise (n, K, D) of scenes that are not trained on."""
        positions = batch.index.tolist()
        return slot_noise(self.config, seed=self.config.seed, step=None, positions=positions)

    def _micro_batches(
        self, batch: Batch, annotated: Tensor, noise: Tensor, sample: Tensor | None, step: int
    ) -> Iterator[MicroBatch]:
        size = self.config.micro_batch_size or len(batch)
        like = next(self._model.parameters())
        for number, start in enumerate(range(0, len(batch), size)):
            cut = slice(start, start + size)
            part = batch.rows(cut)
            seed = np.random.SeedSequence([self.config.seed, step, self.group.rank, number])
            yield MicroBatch(
                features_of(part, self._backbone).to(like),
                part.primitives.to(like.dtype),
                part.present,
                annotated[cut],
                noise[cut].to(like),
                None if sample is None else sample[cut].to(like.device),
                int(seed.generate_state(1)[0]),
            )

    def _encode(self, micro_batch: MicroBatch) -> LossTerms:
        torch.manual_seed(micro_batch.seed)
        outputs: LossTerms = self._encoders(
            micro_batch.features, micro_batch.primitives, micro_batch.present, micro_batch.noise,
            micro_batch.sample,
        )  # fmt: skip
        return outputs

    def _contrast(
        self, micro_batches: list[MicroBatch], outputs: list[LossTerms], size: int, *,
        wants_gradient: bool,
    ) -> tuple[Metrics, list[tuple[Tensor, Tensor]]]:  # fmt: skip
        """The metrics of the whole batch, and ∂L_con/∂(slots, primitives) for each micro-batch."""
        config = self.config
        embedded = [
            Embeddings(output.slots, output.primitives, micro_batch.present, micro_batch.annotated)
            for micro_batch, output in zip(micro_batches, outputs, strict=True)
        ]
        own = concatenate(embedded).leaves()
        wants_gradient = wants_gradient and config.contrastive_weight > 0
        with torch.set_grad_enabled(wants_gradient):
            share = contrast(own, self.group, size, tau=config.tau, alignment=config.alignment)
        metrics = self._metrics(share.loss, share.hits, outputs, share.scenes, size)
        if not (wants_gradient and share.scenes):
            return metrics, []
        slots, primitives = torch.autograd.grad(share.loss, (own.slots, own.primitives))
        sizes = [len(micro_batch.present) for micro_batch in micro_batches]
        split = (torch.split(slots, sizes), torch.split(primitives, sizes))
        return metrics, list(zip(*split, strict=True))

    def _metrics(
        self, contrastive: Tensor, hits: Tensor, outputs: list[LossTerms], scenes: int,
        size: int,
    ) -> Metrics:  # fmt: skip
        error = torch.stack([output.error.detach() for output in outputs]).sum()
        sums = self.group.all_sum([contrastive, error, hits])
        reconstruction = sums[1] / size
        return {
            LOSS: self.config.contrastive_weight * sums[0] + self.config.beta * reconstruction,
            "contrastive": sums[0],
            "reconstruction": reconstruction,
            RECALL: sums[2] / max(1, scenes),
        }

    def _backward(
        self, micro_batches: list[MicroBatch], outputs: list[LossTerms],
        gradients: list[tuple[Tensor, Tensor]], size: int,
    ) -> None:  # fmt: skip
        """Backpropagate through the encoders.

        The loss here is linear in their outputs, and has the gradient of the whole loss.
        """
        single = len(micro_batches) == 1
        for number, micro_batch in enumerate(micro_batches):
            more = number + 1 < len(micro_batches)
            with self._fabric.no_backward_sync(self._encoders, enabled=more):
                output = outputs[0] if single else self._encode(micro_batch)
                linear = self.config.beta / size * output.error
                for part, embeddings in enumerate((output.slots, output.primitives)):
                    pull = gradients[number][part] if gradients else torch.zeros(())
                    linear = (
                        linear
                        + self.config.contrastive_weight
                        * (embeddings * pull.to(embeddings.device)).sum()
                    )
                # Data parallelism averages gradients over processes; here they must be summed.
                self._fabric.backward(linear * self.group.count)
