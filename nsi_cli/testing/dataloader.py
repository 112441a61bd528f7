"""Checks of a task's dataloader, on a small store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from nsi_cli.data.build.build import build_store
from nsi_cli.data.build.options import BuildOptions
from nsi_cli.data.loading.batch import Batch
from nsi_cli.data.loading.loader import LoaderOptions
from nsi_cli.data.store.reader import Store, open_store
from nsi_cli.plugins.contract import HasSceneLabel, SchemaBuilder, Source, Task
from nsi_cli.schema import Categorical, Schema
from nsi_cli.schema.scene import Scene
from nsi_cli.testing.expect import expect, expected_to_work
from nsi_cli.testing.scenes import PER_SPLIT

IMAGE_SIZE = 64


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

    def scene_label(self) -> Categorical | None:
        """Return the other builder's scene label."""
        return self.builder.scene_label() if isinstance(self.builder, HasSceneLabel) else None


def build_small_store(task: Task, builder: SchemaBuilder, out: Path) -> Store:
    """Build a store of the first few scenes at ``out``."""
    with expected_to_work("building a store"):
        build_store(Excerpt(builder), task.name, out, BuildOptions(IMAGE_SIZE, max_skipped=0.0))
        return open_store(out)


def check_dataloader(task: Task, store: Store) -> None:
    """Check that the batches of a small store have each scene once, in order, with its data."""
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
        _check_order(task, store, split, mixed)
        _check_parts(task, store, split, mixed)


def _check_order(task: Task, store: Store, split: str, mixed: Sequence[Batch]) -> None:
    """Check that an epoch has the same order each time, and that it can start at any batch."""
    order = [batch.index.tolist() for batch in mixed]
    for start in (0, 1):
        again = _batches(task, store, split, shuffle=True, start=start)
        expect(
            [batch.index.tolist() for batch in again] == order[start:],
            f"shuffled again, the dataloader returns another order from batch {start} on: derive "
            "the order from `seed` and `epoch` of its options, and skip the first `start` batches",
        )


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
    task: Task,
    store: Store,
    split: str,
    *,
    shuffle: bool,
    part: tuple[int, int] = (0, 1),
    start: int = 0,
) -> list[Batch]:
    shared = part != (0, 1)
    options = LoaderOptions(
        2, shuffle=shuffle, masks=True, part=part, drop_last=shared, start=start
    )
    with expected_to_work(f"the dataloader on split '{split}'"):
        loader = task.load_dataloader()(store, split, options)
        batches, length = list(loader), len(loader)
    wrong = [batch for batch in batches if not isinstance(batch, Batch)]
    expect(
        not wrong and bool(batches or start),
        "the dataloader must return nsi_cli.data.loading.batch.Batch records, not "
        f"{type(wrong[0]).__name__ if wrong else 'nothing'}",
    )
    expect(
        length == len(batches),
        f"the dataloader's len is {length}, but it has {len(batches)} batches: return that number",
    )
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
    ids, found = store.scene_labels(split), batch.scene_labels
    expected = None if ids is None else ids[index].tolist()
    expect(
        (None if found is None else found.tolist()) == expected,
        "the dataloader: `scene_labels` (B,) are not those of the store",
    )
