"""Checks of a task's schema encoder."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nsi_cli.models.config import ModelConfig
from nsi_cli.plugins.contract import Task
from nsi_cli.schema import Schema
from nsi_cli.schema.scene import Scene
from nsi_cli.testing.expect import expect, expected_to_work

SMALL = ModelConfig(
    image_size=64, num_slots=4, slot_dim=16, d_model=16, num_blocks=1, num_heads=2, embed_dim=8
)


def check_schema_encoder(task: Task, schema: Schema, scenes: Sequence[Scene]) -> None:
    """Check that embeddings have the right shape, are finite, and ignore absent objects."""
    with expected_to_work("making the schema encoder from the schema and a small ModelConfig"):
        encoder = task.load_schema_encoder()(schema, SMALL)
    expect(
        isinstance(encoder, nn.Module),
        f"the schema encoder must be a torch.nn.Module, not a {type(encoder).__name__}",
    )
    encoder.eval()
    primitives, present = _padded(schema, [scene for scene in scenes if len(scene.primitives)])
    embeddings = _embed(encoder, primitives, present)
    shape = (*present.shape, SMALL.embed_dim)
    expect(
        tuple(embeddings.shape) == shape,
        f"the schema encoder must return embeddings (B, T, E) {shape}, not {embeddings.shape}",
    )
    expect(
        bool(embeddings.isfinite().all()),
        "the schema encoder returns embeddings that are not finite: look for divisions by zero",
    )
    unknown = _embed(encoder, _all_missing(schema, primitives), present)
    expect(
        bool(unknown.isfinite().all()),
        "the schema encoder returns embeddings that are not finite for missing values (id −1, "
        "NaN): embed them as a learned vector or as zeros",
    )
    if schema.max_objects == 1:
        return
    present[:, -1] = False
    filled = torch.where(present[..., None], primitives, primitives[:, :1])
    embeddings, others = (_embed(encoder, rows, present) for rows in (primitives, filled))
    expect(
        torch.allclose(embeddings[present], others[present], atol=1e-5),
        "the values of absent objects change the embeddings of present ones: mask them out",
    )


def _padded(schema: Schema, scenes: Sequence[Scene]) -> tuple[Tensor, Tensor]:
    """Return scenes as primitives (B, T, W) and present (B, T)."""
    primitives = torch.zeros(len(scenes), schema.max_objects, schema.width)
    present = torch.zeros(len(scenes), schema.max_objects, dtype=torch.bool)
    for index, scene in enumerate(scenes):
        count = len(scene.primitives)
        primitives[index, :count] = torch.from_numpy(scene.primitives)
        present[index, :count] = True
    return primitives, present


def _all_missing(schema: Schema, primitives: Tensor) -> Tensor:
    """Primitives whose values are all missing."""
    row = schema.encode([dict.fromkeys(schema.columns)])[0]
    return torch.from_numpy(row).expand_as(primitives).clone()


def _embed(encoder: nn.Module, primitives: Tensor, present: Tensor) -> Tensor:
    with expected_to_work("the schema encoder on primitives (B, T, W) and present (B, T)"):
        embeddings = encoder(primitives, present)
    expect(
        isinstance(embeddings, Tensor),
        f"the schema encoder must return a tensor, not a {type(embeddings).__name__}",
    )
    return embeddings  # type: ignore[no-any-return]
