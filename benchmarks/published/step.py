"""The training step of the published release of Neural Slot Interpreters, as a reference.

It computes the same as the release's code: the frozen backbone runs in every step, in float32, on
images in [0, 1]; then both encoders (`model.py`), the score and the loss. The gradient of
the image encoder is clipped, that of the schema encoder is not; Adam has a warm-up.
`tests/training/test_release.py` compares the numbers of `nsi train --preset release` with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from published.model import PUBLISHED, ImageEncoder, SchemaEncoder, Sizes
from torch import Tensor, nn
from torch.nn import functional as F

TAU, BETA, LEARNING_RATE, WARMUP, CLIP = 0.1, 1.0, 4e-4, 10_000, 1.0


@dataclass(frozen=True)
class Losses:
    slots: Tensor  # (B, K, E), embeddings
    primitives: Tensor  # (B, T, E), embeddings
    contrastive: Tensor
    reconstruction: Tensor
    pictures: Tensor  # (B, K, 3, S, S), which the release keeps until the step ends


class PublishedStep:
    """Takes training steps.

    A batch is images (B, 3, S, S) uint8, primitives (B, T, W) padded with zeros to the maximum
    number of objects, and present (B, T) bool.
    """

    def __init__(
        self,
        backbone: Any,
        tokens: int,
        values: tuple[int, ...],
        device: str,
        sizes: Sizes = PUBLISHED,
    ) -> None:
        self.backbone = backbone.to(device).eval()
        self.image_encoder = ImageEncoder(tokens, backbone.num_features, sizes).to(device)
        self.schema_encoder = SchemaEncoder(values, sizes).to(device)
        parameters = [*self.image_encoder.parameters(), *self.schema_encoder.parameters()]
        self.adam = torch.optim.Adam(parameters, lr=LEARNING_RATE)
        self.device, self.taken = device, 0

    def losses(
        self, images: Tensor, primitives: Tensor, present: Tensor, noise: Tensor | None = None
    ) -> Losses:
        """Run the forward pass; ``noise`` (B, K, D) is sampled if it is None."""
        images, primitives = images.to(self.device) / 255, primitives.to(self.device)
        present = present.to(self.device)
        with torch.no_grad():
            tokens = self.backbone.forward_features(images)
        features = tokens[:, self.backbone.num_prefix_tokens :]
        dtype = self.image_encoder.slot_attention.mean.dtype  # float64 in the test
        slots, error, pictures = self.image_encoder(images.to(dtype), features.to(dtype), noise)
        embeddings = self.schema_encoder(primitives.to(dtype))
        products = torch.einsum("ike,jte->ijkt", slots, embeddings)
        scores = (products.max(2).values * present).sum(-1) / TAU
        target = torch.arange(len(scores), device=self.device)
        contrastive = (F.cross_entropy(scores, target) + F.cross_entropy(scores.T, target)) / 2
        return Losses(slots, embeddings, contrastive, error, pictures)

    def __call__(
        self, images: Tensor, primitives: Tensor, present: Tensor, noise: Tensor | None = None
    ) -> float:
        losses = self.losses(images, primitives, present, noise)
        loss = losses.contrastive + BETA * losses.reconstruction
        self.adam.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.image_encoder.parameters(), CLIP)
        self.adam.param_groups[0]["lr"] = LEARNING_RATE * min(1.0, (self.taken + 1) / WARMUP)
        self.adam.step()
        self.taken += 1
        return loss.item()
