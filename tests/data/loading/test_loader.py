"""Batches: each scene once, in an order that seed and epoch alone decide, from any process."""

import os
from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data._utils.pin_memory import pin_memory

from nsi_cli.data.features.cache import cache_for
from nsi_cli.data.features.fill import fill
from nsi_cli.data.loading import batch as batch_module
from nsi_cli.data.loading.batch import Batch
from nsi_cli.data.loading.loader import EpochBatches, LoaderOptions, make_dataloader
from nsi_cli.data.store.reader import Store
from nsi_cli.support.errors import DataError

SHUFFLED = LoaderOptions(batch_size=4, shuffle=True, masks=True)
START_METHODS = [
    "fork",
    *(pytest.param(name, marks=pytest.mark.slow) for name in ("spawn", "forkserver")),
]


def _indices(store: Store, options: LoaderOptions) -> list[list[int]]:
    return [batch.index.tolist() for batch in make_dataloader(store, "train", options)]


def test_unshuffled_batches_are_in_order_and_the_last_may_be_short(store: Store) -> None:
    options = LoaderOptions(batch_size=4)
    assert _indices(store, options) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]
    assert _indices(store, replace(options, drop_last=True)) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert _indices(store, LoaderOptions(batch_size=50, drop_last=True)) == [list(range(11))]


@given(
    count=st.integers(0, 40),
    size=st.integers(1, 50),
    start=st.integers(0, 12),
    drop=st.booleans(),
    shuffle=st.booleans(),
)
def test_skipping_the_first_batches_changes_none_of_the_others(
    count: int, size: int, start: int, drop: bool, shuffle: bool
) -> None:
    options = LoaderOptions(batch_size=size, shuffle=shuffle, drop_last=drop, seed=3, epoch=2)
    whole = [index.tolist() for index in EpochBatches(count, options)]
    seen = [scene for index in whole for scene in index]
    assert len(set(seen)) == len(seen)
    assert drop or sorted(seen) == list(range(count))
    rest = EpochBatches(count, replace(options, start=start))
    assert len(rest) == len(list(rest)) == max(0, len(whole) - start)
    assert [index.tolist() for index in rest] == whole[start:]


@given(
    count=st.integers(1, 40), size=st.integers(1, 50), start=st.integers(0, 5),
    processes=st.integers(1, 5),
)  # fmt: skip
def test_processes_share_each_batch_in_order_and_without_repeats(
    count: int, size: int, start: int, processes: int
) -> None:
    options = LoaderOptions(batch_size=size, shuffle=True, drop_last=True, start=start)
    whole = [index.tolist() for index in EpochBatches(count, options)]
    parts = [
        [index.tolist() for index in EpochBatches(count, replace(options, part=(r, processes)))]
        for r in range(processes)
    ]
    assert [[*chain(*pieces)] for pieces in zip(*parts, strict=True)] == whole
    for pieces in zip(*parts, strict=True):
        sizes = {len(piece) for piece in pieces}
        assert max(sizes) - min(sizes) <= 1


def test_the_order_depends_on_seed_and_epoch_alone(store: Store) -> None:
    first = _indices(store, SHUFFLED)
    torch.manual_seed(1)
    np.random.seed(1)
    assert _indices(store, SHUFFLED) == first
    assert sorted(np.concatenate(first).tolist()) == list(range(11))
    assert _indices(store, replace(SHUFFLED, epoch=1)) != first
    assert _indices(store, replace(SHUFFLED, seed=1)) != first
    # Of equal sum, so that seed and epoch are not merely added:
    assert _indices(store, replace(SHUFFLED, seed=1)) != _indices(store, replace(SHUFFLED, epoch=1))


def test_a_batch_holds_the_images_and_primitives_of_its_scenes(store: Store) -> None:
    labels, lengths = store.primitives("train")
    for batch in make_dataloader(store, "train", SHUFFLED):
        index = batch.index.numpy()
        assert batch.images is not None
        assert batch.masks is not None
        assert (batch.images.dtype, batch.images.shape[1:]) == (torch.uint8, (3, 16, 16))
        assert batch.images[:, 0, 3, 3].tolist() == index.tolist()
        np.testing.assert_array_equal(batch.masks.numpy(), store.masks("train", index))
        np.testing.assert_array_equal(batch.primitives.numpy(), labels[index])
        assert batch.present.dtype == torch.bool
        assert batch.present.sum(1).tolist() == lengths[index].tolist()
        for present, length in zip(batch.present, lengths[index], strict=True):
            assert present.tolist() == [True] * length + [False] * (4 - length)
        assert len(batch) == len(index)


def test_a_batch_is_read_in_the_order_of_the_file(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    offsets: list[int] = []
    read = os.preadv
    monkeypatch.setattr(os, "preadv", lambda *how: offsets.append(how[2]) or read(*how))
    for batch in make_dataloader(store, "train", LoaderOptions(batch_size=4, shuffle=True)):
        assert offsets == sorted(set(offsets))
        assert 0 < len(offsets) <= len(batch)
        offsets.clear()


def test_neighbours_are_read_together(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    read = os.preadv
    monkeypatch.setattr(os, "preadv", lambda *how: sizes.append(len(how[1][0])) or read(*how))
    list(make_dataloader(store, "train", LoaderOptions(batch_size=4)))
    assert sizes == [4 * 768, 4 * 768, 3 * 768]


def test_images_and_masks_are_read_only_if_requested(store: Store) -> None:
    (batch,) = make_dataloader(store, "test", LoaderOptions(batch_size=8, images=False))
    assert (batch.images, batch.masks, batch.features) == (None, None, None)


def _encode(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), 4, -1)[:, :, :2].astype(np.float16)


def _same(one: Batch, other: Batch) -> bool:
    pairs = [(getattr(one, name), getattr(other, name)) for name in vars(one)]
    return all((a is None and b is None) or torch.equal(a, b) for a, b in pairs)


@pytest.mark.slow
@pytest.mark.parametrize("start_method", START_METHODS)
def test_worker_processes_give_the_same_batches(store: Store, start_method: str) -> None:
    cache = cache_for(store, "backbone", 4, 2)
    fill(cache, store, ["train"], _encode, at_once=4)
    options = replace(SHUFFLED, features=cache)
    alone = list(make_dataloader(store, "train", options))  # which opens the files here, too
    loader = make_dataloader(store, "train", replace(options, workers=2))
    loader.multiprocessing_context = start_method
    helped = list(loader)
    assert len(helped) == len(alone) == 3
    assert all(map(_same, alone, helped))


def test_tensors_in_shared_memory_arrive_as_those_in_messages(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = list(make_dataloader(store, "train", SHUFFLED))
    monkeypatch.setattr(batch_module, "SMALL", 0)
    loader = make_dataloader(store, "train", replace(SHUFFLED, workers=1))
    loader.multiprocessing_context = "fork"  # which inherits the changed module
    helped = list(loader)
    assert all(batch.primitives.is_shared() for batch in helped)
    assert len(helped) == len(alone)
    assert all(map(_same, alone, helped))


@pytest.mark.slow
@pytest.mark.parametrize("start_method", START_METHODS)
def test_an_epoch_is_resumed_in_worker_processes(store: Store, start_method: str) -> None:
    whole = list(make_dataloader(store, "train", replace(SHUFFLED, epoch=3)))
    options = replace(SHUFFLED, epoch=3, start=1, workers=2)
    loader = make_dataloader(store, "train", options)
    loader.multiprocessing_context = start_method
    rest = list(loader)
    assert len(rest) == 2
    assert all(map(_same, whole[1:], rest))


def test_a_batch_is_pinned_as_a_whole(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    pinned: list[torch.Tensor] = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: pinned.append(tensor) or tensor)
    (batch,) = make_dataloader(store, "test", LoaderOptions(batch_size=8, masks=True))
    again = pin_memory(batch)  # as torch's loader does it where there is a GPU
    assert _same(again, batch)
    assert len(pinned) == 5


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_batches_arrive_in_pinned_memory(store: Store) -> None:
    options = LoaderOptions(batch_size=8, workers=1, pin_memory=True)
    (batch,) = make_dataloader(store, "test", options)
    assert batch.images is not None
    assert batch.images.is_pinned()
    assert batch.primitives.is_pinned()


def test_a_batch_moves_as_a_whole(store: Store) -> None:
    (batch,) = make_dataloader(store, "test", LoaderOptions(batch_size=8))
    moved = batch.map(lambda tensor: tensor.to(torch.float64))
    assert moved.primitives.dtype == torch.float64
    assert moved.masks is None


def test_an_unknown_split_is_an_error(make_store: Callable[..., Store], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no split 'val'"):
        make_dataloader(make_store(train=2), "val", LoaderOptions())
