"""A worker's memory is lent, not given: it comes back when nobody looks at it any more."""

import gc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from nsi_cli.data import lending
from nsi_cli.data.build import BuildOptions, build_store
from nsi_cli.data.lending import Lender, to_send
from nsi_cli.data.loader import LoaderOptions, make_dataloader
from nsi_cli.data.store import Store, open_store

SHAPE, AXES = (2, 8, 8, 3), (0, 3, 1, 2)


def _arrive(tensor: torch.Tensor) -> torch.Tensor:
    """What the parent gets of a tensor that a worker sends."""
    make, parts = to_send(tensor).__reduce__()
    return make(*parts)  # type: ignore[no-any-return]


def test_what_is_lent_arrives_without_a_copy() -> None:
    array, tensor = Lender().lend(SHAPE, AXES)
    there = _arrive(tensor)
    array[:] = 7
    assert there.shape == (2, 3, 8, 8)
    assert bool((there == 7).all())


def test_it_is_lent_anew_only_when_the_last_view_of_it_is_gone() -> None:
    lender = Lender()
    array, tensor = lender.lend(SHAPE, AXES)
    view = _arrive(tensor)[1, 0]
    del tensor
    array[:] = 7
    other, held = lender.lend(SHAPE, AXES)
    other[:] = 9
    assert bool((view == 7).all())
    del view, array
    again, _ = lender.lend(SHAPE, AXES)
    assert bool((again == 7).all())  # the first memory, as it was left
    assert len(lender._memory) == 2
    assert bool((held == 9).all())


def test_what_is_never_sent_comes_back_too() -> None:
    lender = Lender()
    for _ in range(5):
        array, tensor = lender.lend(SHAPE, AXES)
        changed = tensor.float() + 1
        assert to_send(changed) is changed
        del array, tensor
        gc.collect()
    assert len(lender._memory) == 1


def test_a_system_without_nameless_files_lends_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(lending.os, "memfd_create", raising=False)
    array, tensor = Lender().lend(SHAPE, AXES)
    array[:] = 3
    assert to_send(tensor).memory.is_shared()
    assert bool((_arrive(tensor) == 3).all())


@pytest.fixture
def large(numbered: Any, tmp_path: Path) -> Store:
    """A store whose batches are too large to be sent in a message."""
    builder = numbered(tmp_path / "raw", (("train", 40),))
    return open_store(build_store(builder, "x", tmp_path / "large", BuildOptions(128)))


@pytest.mark.parametrize("start_method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("keep", [list, iter], ids=["all are held", "none is held"])
def test_no_batch_is_written_over_while_it_is_held(
    large: Store, start_method: str, keep: Callable[[Any], Any]
) -> None:
    options = LoaderOptions(batch_size=4, shuffle=True)
    loader = make_dataloader(large, "train", replace(options, workers=1))
    loader.multiprocessing_context = start_method
    seen = 0
    for batch in keep(loader):
        assert batch.images is not None
        assert batch.images[:, 1, 64, 64].tolist() == batch.index.tolist()
        seen += len(batch)
    assert seen == 40
