"""The model agrees with a plain restatement of its mathematics, to 1e-5 and better."""

from __future__ import annotations

import dataclasses
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nsi_cli.models.alignment import contrastive_loss, reconstruction_loss, score_matrix
from nsi_cli.models.config import ModelConfig
from nsi_cli.models.nsi import NSI, NSIOutput, build_nsi
from nsi_cli.models.schema_encoder import PropertySchemaEncoder
from nsi_cli.models.slot_init import slot_noise
from nsi_cli.schema import Schema

Primitives = tuple[Tensor, Tensor]


def shaken(model: NSI) -> NSI:
    """In evaluation and float64, all parameters moved off the values they start at."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.02 * torch.randn_like(parameter)
    return model.double().eval()


def restated(
    plain: ModuleType, model: NSI, config: ModelConfig, schema: Schema, data: tuple[Tensor, ...]
) -> tuple[list[Any], Any]:
    """What the restatement makes of the same weights and data: images, primitive embeddings."""
    weights = {key: value.numpy() for key, value in model.state_dict().items()}
    features, rows, present, noise = (item.numpy() for item in data)
    images = [
        plain.image_encoder(
            one,
            start,
            rounds=config.num_iterations,
            heads=config.num_slot_heads,
            init=config.slot_init,
            redraw=config.reconstruct,
            w=plain.under(weights, "image_encoder"),
        )
        for one, start in zip(features, noise, strict=True)
    ]
    embeddings = [
        plain.schema_encoder(
            one,
            there,
            categories=len(schema.categorical),
            ranges=[(np.array(item.lows), np.array(item.highs)) for item in schema.continuous],
            blocks=config.num_blocks,
            heads=config.num_heads,
            w=plain.under(weights, "schema_encoder"),
        )
        for one, there in zip(rows, present, strict=True)
    ]
    return images, np.stack(embeddings)


def agree(
    plain: ModuleType, config: ModelConfig, schema: Schema, given: Primitives, *, grid: int, c: int
) -> None:
    """Check every output, the scores and both losses, to 1e-5 of each one's largest value."""
    model = shaken(build_nsi(config, schema, PropertySchemaEncoder, num_tokens=grid, channels=c))
    rows, present = given
    features = torch.randn(len(rows), grid, c, dtype=torch.float64)
    noise = slot_noise(config, seed=3, step=7, positions=range(len(rows))).double()
    data = (features, rows.double(), present, noise)
    with torch.no_grad():
        output: NSIOutput = model(*data)
        scores = score_matrix(output.image.embeddings, output.primitives, present)
    images, embeddings = restated(plain, model, config, schema, data)
    for field in dataclasses.fields(output.image):
        have = getattr(output.image, field.name)
        want = [getattr(image, field.name) for image in images]
        if have is None:
            assert want == [None] * len(want)
        else:
            close(have, np.stack(want))
    close(output.primitives, embeddings)
    want = plain.scores(np.stack([image.embeddings for image in images]), embeddings, data[2])
    close(scores, want)
    close(contrastive_loss(scores, 0.1), plain.contrastive_loss(want, 0.1))
    redrawn = np.stack([image.reconstruction for image in images])
    lost = plain.reconstruction_loss(redrawn, features.numpy())
    close(reconstruction_loss(output.image.reconstruction, features), lost)


def close(have: Tensor, want: Any) -> None:
    assert tuple(have.shape) == np.shape(want)
    error = np.abs(have.numpy() - want).max() / max(1.0, np.abs(want).max())
    assert error < 1e-6


@pytest.mark.parametrize("slot_init", ["gaussian", "learned", "tokens"])
@pytest.mark.parametrize("reconstruct", ["decoder", "attention"])
def test_small_models_agree(
    slot_init: str,
    reconstruct: str,
    small: ModelConfig,
    schema: Schema,
    primitives: Primitives,
    restatement: ModuleType,
) -> None:
    config = dataclasses.replace(
        small, slot_init=slot_init, reconstruct=reconstruct, num_slot_heads=2
    )
    agree(restatement, config, schema, primitives, grid=20, c=12)


def test_without_blocks_primitives_stand_alone(
    small: ModelConfig, schema: Schema, primitives: Primitives, restatement: ModuleType
) -> None:
    config = dataclasses.replace(small, num_blocks=0)
    agree(restatement, config, schema, primitives, grid=9, c=12)


@pytest.mark.slow
def test_default_sizes_agree(
    schema: Schema, primitives: Primitives, restatement: ModuleType
) -> None:
    rows, present = primitives
    given = (rows[:2], present[:2])
    agree(restatement, ModelConfig(), schema, given, grid=784, c=768)
