"""Predictions of a model in evaluation mode, for a batch of scenes or for images alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from nsi_cli.data.loading.batch import Batch
from nsi_cli.evaluation.predictions import Bools, Bytes, Floats, Predictions
from nsi_cli.models.alignment import align
from nsi_cli.models.backbones.base import Backbone
from nsi_cli.models.features import features_of
from nsi_cli.models.nsi import NSI

EncodePrimitives = Callable[[Floats, Bools], Floats]
"""Maps primitives (B, T, W) and present (B, T) to their embeddings (B, T, E)."""


def predict(model: NSI, backbone: Backbone, batch: Batch, *, noise: Tensor | None) -> Predictions:
    """The model's predictions for a batch, on the model's device, without dropout or gradients.

    Uses the batch's features if it has them, else ``backbone`` on its images. ``noise`` (B, K, D)
    is the noise of the initial slots.
    """
    device = _device(model)
    moved = batch.map(lambda tensor: tensor.to(device, non_blocking=True))
    with _evaluation_mode(model):
        features = features_of(moved, backbone)
        output = model(features, moved.primitives, moved.present, _to(noise, device))
        alignment = align(
            output.image.embeddings, output.primitives, moved.present, alignment=model.alignment
        )
    tokens = _floats(features)
    return Predictions(
        index=batch.index.cpu().numpy(),
        primitives=batch.primitives.cpu().numpy(),
        present=batch.present.cpu().numpy(),
        attention_masks=_on_grid(output.image.attention_masks, backbone),
        slot_masks=_slot_masks(output.image.slot_masks, backbone),
        slot_embeddings=_floats(output.image.embeddings),
        primitive_embeddings=_floats(output.primitives),
        aligned_slot=alignment.slot.cpu().numpy(),
        aligned_score=_floats(alignment.score),
        true_masks=None if batch.masks is None else batch.masks.cpu().numpy(),
        slots=_floats(output.image.slots),
        tokens=tokens.reshape(len(tokens), *backbone.grid, -1),
        appearance=backbone.appearance,
        alignment=model.alignment,
    )


def predict_images(
    model: NSI, backbone: Backbone, images: Bytes, *, width: int, noise: Tensor | None
) -> Predictions:
    """The model's predictions for images (B, S, S, 3) without annotation, with T = 0.

    ``width`` is the schema's; ``index`` numbers the images from 0.
    """
    device, count = _device(model), len(images)
    with _evaluation_mode(model):
        pixels = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).to(device)
        encoding = model.image_encoder(backbone.features(pixels), _to(noise, device))
    embeddings = _floats(encoding.embeddings)
    return Predictions(
        index=np.arange(count),
        primitives=np.zeros((count, 0, width), np.float32),
        present=np.zeros((count, 0), bool),
        attention_masks=_on_grid(encoding.attention_masks, backbone),
        slot_masks=_slot_masks(encoding.slot_masks, backbone),
        slot_embeddings=embeddings,
        primitive_embeddings=np.zeros((count, 0, embeddings.shape[-1]), np.float32),
        aligned_slot=np.zeros((count, 0), np.int64),
        aligned_score=np.zeros((count, 0), np.float32),
        alignment=model.alignment,
    )


def primitives_encoder(model: NSI) -> EncodePrimitives:
    """The model's schema encoder as a function of plain arrays, without dropout or gradients."""

    def encode(primitives: Floats, present: Bools) -> Floats:
        device = _device(model)
        with _evaluation_mode(model):
            rows = torch.from_numpy(primitives).to(device)
            return _floats(model.schema_encoder(rows, torch.from_numpy(present).to(device)))

    return encode


@contextmanager
def _evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Disable dropout and gradients; restore the model's mode afterwards."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


def _to(noise: Tensor | None, device: torch.device) -> Tensor | None:
    return None if noise is None else noise.to(device)


def _floats(value: Tensor) -> Floats:
    array: Floats = value.detach().float().cpu().numpy()
    return array


def _on_grid(masks: Tensor, backbone: Backbone) -> Floats:
    return _floats(masks).reshape(*masks.shape[:2], *backbone.grid)


def _slot_masks(masks: Tensor | None, backbone: Backbone) -> Floats | None:
    return None if masks is None else _on_grid(masks, backbone)
