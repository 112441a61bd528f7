"""Checks of the two parts of a task that need torch: the schema encoder and the dataloader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from nsi_cli.data.build.build import BuildOptions, build_store
from nsi_cli.data.loading.batch import Batch
from nsi_cli.data.loading.loader import LoaderOptions
from nsi_cli.data.store.reader import Store, open_store
from nsi_cli.models.config import ModelConfig
from nsi_cli.plugins.contract import SchemaBuilder, Source, Task
from nsi_cli.schema import Schema
from nsi_cli.schema.scene import Scene
from nsi_cli.testing.expect import expect, expected_to_work
from nsi_cli.testing.scenes import PER_SPLIT

SMALL = ModelConfig(
    image_size=64, num_slots=4, slot_dim=16, d_model=16, num_blocks=1, num_heads=2, embed_dim=8
)


def check_schema_encoder(task: Task, schema: Schema, scenes: Sequence[Scene]) -> None:
    """Check that embeddings have the right shape, are finite, and ignore absent objects."""
    with expected_to_work("making the schema encoder from the schema and a small ModelConfig"):
        encoder = task.load_schema_encoder()(schema, SMALL)
    expect(isinstance(encoder, nn.Module), f"the schema encoder must be a torch module: {encoder}")
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
        "the schema encoder returns embeddings that are not finite",
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
    expect(bool(scenes), "none of the scenes has an object")
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
    expect(isinstance(embeddings, Tensor), f"the schema encoder must return a tensor: {embeddings}")
    return embeddings  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Excerpt:
    """A schema builder with only the first few scenes of another builder's splits."""

    builder: SchemaBuilder

    @property
    def raw(self) -> Path:
        """The other builder's raw folder."""
        return self.builder.raw

    def schema(self) -> Schema:
        """Return the other builder's schema."""
        return self.builder.schema()

    def splits(self) -> Mapping[str, Sequence[Source]]:
        """Return the first few sources of each split."""
        splits = self.builder.splits()
        return {split: sources[:PER_SPLIT] for split, sources in splits.items()}

    def load(self, source: Source) -> Scene:
        """Load a scene with the other builder."""
        return self.builder.load(source)


def check_dataloader(task: Task, builder: SchemaBuilder, out: Path) -> None:
    """Check that the batches of a small store have each scene once, in order, with its data."""
    with expected_to_work("building a store"):
        size = SMALL.image_size
        build_store(Excerpt(builder), task.name, out, BuildOptions(size, max_skipped=0.0))
        store = open_store(out)
    for split in store.splits:
        if not store.count(split):
            continue
        batches = _batches(task, store, split, shuffle=False)
        index = torch.cat([batch.index for batch in batches])
        expect(
            index.tolist() == list(range(store.count(split))),
            f"the dataloader returns the scenes {index.tolist()} of split '{split}': expected each "
            "once, in order",
        )
        for batch in batches:
            _check_batch(store, split, batch)
        mixed = _batches(task, store, split, shuffle=True)
        index = torch.cat([batch.index for batch in mixed])
        expect(
            sorted(index.tolist()) == list(range(store.count(split))),
            f"shuffled, the dataloader returns the scenes {index.tolist()} of split '{split}': "
            "expected each once",
        )
        _check_parts(task, store, split, mixed)


def _check_parts(task: Task, store: Store, split: str, mixed: Sequence[Batch]) -> None:
    """Check that each of two processes reads its part of each whole batch."""
    whole = [batch.index.tolist() for batch in mixed if len(batch) == 2]
    if not whole:
        return
    parts = [_batches(task, store, split, shuffle=True, part=(rank, 2)) for rank in range(2)]
    read = [
        torch.cat([one.index, other.index]).tolist() for one, other in zip(*parts, strict=False)
    ]
    expect(
        read == whole,
        f"the dataloader returns {read} of split '{split}' to two processes: expected the parts of "
        "each batch, as `part` of its options says",
    )


def _batches(
    task: Task, store: Store, split: str, *, shuffle: bool, part: tuple[int, int] = (0, 1)
) -> list[Batch]:
    shared = part != (0, 1)
    options = LoaderOptions(2, shuffle=shuffle, masks=True, part=part, drop_last=shared)
    with expected_to_work(f"the dataloader on split '{split}'"):
        loader = task.load_dataloader()(store, split, options)
        batches, length = list(loader), len(loader)
    wrong = [batch for batch in batches if not isinstance(batch, Batch)]
    expect(
        not wrong and bool(batches), f"the dataloader must return Batch records, not {wrong[:1]}"
    )
    expect(length == len(batches), f"the dataloader's len is {length}, but it has {len(batches)}")
    return batches


def _check_batch(store: Store, split: str, batch: Batch) -> None:
    """Check that a batch contains the store's data of its scenes."""
    labels, lengths = store.primitives(split)
    index = batch.index.numpy()
    present = np.arange(labels.shape[1]) < lengths[index][:, None]
    expect(
        batch.present.dtype == torch.bool and np.array_equal(batch.present.numpy(), present),
        "the dataloader: `present` (B, T) bool must be true for each scene's own objects",
    )
    same = np.array_equal(batch.primitives.numpy()[present], labels[index][present], equal_nan=True)
    expect(same, "the dataloader: `primitives` (B, T, W) are not those of the store")
    size = store.image_size
    images = batch.images
    expect(
        images is not None
        and images.dtype == torch.uint8
        and tuple(images.shape) == (len(index), 3, size, size),
        f"the dataloader: `images` must be uint8 (B, 3, {size}, {size})",
    )
