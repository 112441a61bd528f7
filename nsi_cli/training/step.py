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
from nsi_cli.training.contrastive import ContrastiveShare, Embeddings, concatenate, contrast
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
        sample: Tensor | None = None, decode: bool = True,
    ) -> LossTerms:  # fmt: skip
        """Features (n, N, C), primitives (n, T, W), present (n, T), noise (n, K, D).

        ``sample`` (n, M) are the tokens to decode, None for all. ``error`` of the result is the sum
        of the n images' errors, not their mean; without ``decode`` it is 0.
        """
        if not decode:
            slots, embedded = self.model.embed(features, primitives, present, noise)
            return LossTerms(slots, embedded, slots.new_zeros(()))
        terms = self.model.learn(features, primitives, present, noise, sample)
        return terms._replace(error=terms.error * len(features))


class NotFinite(NsiError):
    """A loss or a gradient is infinite or NaN; ``metrics`` are those of its batch."""

    def __init__(self, what: str, metrics: Metrics) -> None:
        super().__init__(f"the {what} is not finite", "lower --lr, or --precision 32")
        self.what, self.metrics = what, metrics


@dataclass(frozen=True)
class Draws:
    """What is drawn for this process's scenes of a batch, on the CPU."""

    noise: Tensor  # (n, K, D), of the slots
    sample: Tensor | None = None  # (n, M), the tokens to decode; None for all


@dataclass(frozen=True)
class MicroBatch:
    """Scenes that go through the model together, with all that is drawn for them."""

    features: Tensor  # (n, N, C)
    primitives: Tensor  # (n, T, W)
    present: Tensor  # (n, T) bool
    annotated: Tensor | None  # (n,) bool; None if all are
    noise: Tensor  # (n, K, D)
    sample: Tensor | None  # (n, M), the tokens to decode; None for all
    seed: int  # of the dropout


class Step:
    """Takes optimizer steps on L = w·L_con + β·L_rec over global batches.

    Every process puts its part of a batch through the encoders, in micro-batches of
    ``micro_batch_size``. The contrastive loss is computed outside the encoders, over the
    embeddings of the whole batch, and its gradient is passed back to them (Gao et al. 2021,
    "Scaling deep contrastive learning batch size under memory limited setup"). If no process has
    several micro-batches, each is encoded once. Else all are encoded first without a graph and
    without the decoder, for their embeddings, and again with the same dropout, for the gradient.
    The gradient is exactly that of one process with the whole batch.
    """

    def __init__(self, config: TrainConfig, model: NSI, backbone: Backbone, fabric: Fabric) -> None:
        self.config, self.group = config, ProcessGroup(fabric)
        self._model, self._backbone, self._fabric = model, backbone, fabric
        self._ahead: tuple[int, int, Draws] | None = None
        adam = torch.optim.Adam(model.parameters(), lr=config.lr)
        encoders: nn.Module = Encoders(model)
        if config.compile:
            encoders = torch.compile(encoders)  # type: ignore[assignment]
        self._encoders, self.optimizer = fabric.setup(encoders, adam)

    def train(self, batch: Batch, annotated: Tensor | None, step: int, size: int) -> Metrics:
        """Compute the gradient of a batch of ``size`` scenes, of which ``batch`` is a part.

        ``annotated`` (n,) bool are the scenes to contrast; None means all. Returns the metrics of
        the whole batch. Slot noise and the sample of tokens are functions of the seed, the step and
        the position in the batch; dropout depends on the process too. Raises `NotFinite` in every
        process if the loss is not finite.
        """
        self._encoders.train()
        draws = self._draws_of(step, size)
        micro_batches = list(self._micro_batches(batch, annotated, draws, step))
        single = self._is_single(size)
        with torch.set_grad_enabled(single):
            outputs = [self._encode(micro_batch, decode=single) for micro_batch in micro_batches]
        share, gradients = self._contrast(micro_batches, outputs, size, wants_gradient=True)
        self.optimizer.zero_grad(set_to_none=True)
        errors = self._backward(micro_batches, outputs, gradients, size)
        self._draw_ahead(step + 1, size)
        metrics = self._metrics(share, errors, size)  # waits for the device
        if not math.isfinite(metrics[LOSS]):
            raise NotFinite("loss", metrics)
        return metrics

    def _is_single(self, size: int) -> bool:
        """Whether every process encodes its part of a batch as one micro-batch.

        All must do the same: data parallelism communicates in a pass that has gradients.
        """
        largest = -(-size // self.group.count)
        return largest <= (self.config.micro_batch_size or largest)

    def _draws_of(self, step: int, size: int) -> Draws:
        """The draws of a step: those drawn ahead, or new ones."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead[:2] == (step, size):
            return ahead[2]
        config, positions = self.config, self.group.share(size)
        seed, sample = config.seed, None
        noise = slot_noise(config, seed=seed, step=step, positions=positions)
        if config.decode_tokens:
            sample = token_sample(
                self._backbone.num_tokens, config.decode_tokens,
                seed=seed, step=step, positions=positions,
            )  # fmt: skip
        return Draws(noise, sample)

    def _draw_ahead(self, step: int, size: int) -> None:
        """Draw for the next step while a device that is not the CPU computes this one."""
        if self._fabric.device.type != "cpu":
            self._ahead = (step, size, self._draws_of(step, size))

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
        draws = Draws(self.noise_of(batch))
        micro_batches = list(self._micro_batches(batch, None, draws, 0))
        outputs = [self._encode(micro_batch) for micro_batch in micro_batches]
        share, _ = self._contrast(micro_batches, outputs, size, wants_gradient=False)
        return self._metrics(share, [output.error for output in outputs], size)

    def noise_of(self, batch: Batch) -> Tensor:
        """The slot noise (n, K, D) of scenes that are not trained on."""
        positions = batch.index.tolist()
        return slot_noise(self.config, seed=self.config.seed, step=None, positions=positions)

    def _micro_batches(
        self, batch: Batch, annotated: Tensor | None, draws: Draws, step: int
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
                None if annotated is None else annotated[cut],
                draws.noise[cut].to(like),
                None if draws.sample is None else draws.sample[cut].to(like.device),
                int(seed.generate_state(1)[0]),
            )

    def _encode(self, micro_batch: MicroBatch, *, decode: bool = True) -> LossTerms:
        torch.manual_seed(micro_batch.seed)
        outputs: LossTerms = self._encoders(
            micro_batch.features, micro_batch.primitives, micro_batch.present, micro_batch.noise,
            micro_batch.sample, decode,
        )  # fmt: skip
        return outputs

    def _contrast(
        self, micro_batches: list[MicroBatch], outputs: list[LossTerms], size: int, *,
        wants_gradient: bool,
    ) -> tuple[ContrastiveShare, list[tuple[Tensor, Tensor]]]:  # fmt: skip
        """This process's share of L_con, and its gradient at the embeddings of each micro-batch."""
        config = self.config
        embedded = [
            Embeddings(output.slots, output.primitives, micro_batch.present, micro_batch.annotated)
            for micro_batch, output in zip(micro_batches, outputs, strict=True)
        ]
        own = concatenate(embedded).leaves()
        wants_gradient = wants_gradient and config.contrastive_weight > 0
        with torch.set_grad_enabled(wants_gradient):
            share = contrast(own, self.group, size, tau=config.tau, alignment=config.alignment)
        if not (wants_gradient and share.scenes):
            return share, []
        slots, primitives = torch.autograd.grad(share.loss, (own.slots, own.primitives))
        sizes = [len(micro_batch.present) for micro_batch in micro_batches]
        split = (torch.split(slots, sizes), torch.split(primitives, sizes))
        return share, list(zip(*split, strict=True))

    def _metrics(self, share: ContrastiveShare, errors: list[Tensor], size: int) -> Metrics:
        """The metrics of the whole batch. The only transfer from the device before the update."""
        sums = self.group.all_sum([share.loss, torch.stack(errors).sum(), share.hits])
        reconstruction = sums[1] / size
        return {
            LOSS: self.config.contrastive_weight * sums[0] + self.config.beta * reconstruction,
            "contrastive": sums[0],
            "reconstruction": reconstruction,
            RECALL: sums[2] / max(1, share.scenes),
        }

    def _backward(
        self, micro_batches: list[MicroBatch], outputs: list[LossTerms],
        gradients: list[tuple[Tensor, Tensor]], size: int,
    ) -> list[Tensor]:  # fmt: skip
        """Backpropagate through the encoders; return the errors of the micro-batches.

        The loss here is linear in their outputs, and has the gradient of the whole loss.
        """
        single, errors = self._is_single(size), []
        for number, micro_batch in enumerate(micro_batches):
            more = number + 1 < len(micro_batches)
            with self._fabric.no_backward_sync(self._encoders, enabled=more):
                output = outputs[0] if single else self._encode(micro_batch)
                errors.append(output.error.detach())
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
        return errors
