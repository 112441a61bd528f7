"""At every moment there is one whole checkpoint on disk, and it can hold no code."""

from __future__ import annotations

import itertools
import os
import pickle
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from nsi_cli.errors import DataError
from nsi_cli.training import checkpoint
from nsi_cli.training.checkpoint import (
    STATE,
    WEIGHTS,
    Progressed,
    has_checkpoint,
    load_state,
    load_weights,
    restore,
    save_checkpoint,
)
from nsi_cli.training.schedule import Plateau

CHANGES = 11
"""Of the disk, that a save makes over an old checkpoint."""

AT = Progressed(step=7, epoch=1, batches=2, running=3.5, plateau=Plateau(1.5, 2, 0.25))


def save(folder: Path, step: int) -> None:
    """A checkpoint whose every part says which step it is of."""
    weights = {"w": torch.full((3,), float(step))}
    save_checkpoint(folder, weights, {"optimizer": {"step": step}}, replace(AT, step=step))


def load(folder: Path) -> int:
    """The step that all parts of a checkpoint agree on."""
    state, at = load_state(folder)
    (weight,) = set(load_weights(folder)["w"].tolist())
    assert weight == state["optimizer"]["step"] == at.step
    return at.step


@pytest.fixture
def last(tmp_path: Path) -> Path:
    return tmp_path / "run" / "checkpoints" / "last"


def test_what_is_saved_comes_back(last: Path) -> None:
    weights = {"a": torch.randn(2, 3), "b": torch.randn(4, 2).mT}
    adam = torch.optim.Adam([torch.nn.Parameter(torch.randn(2))])
    save_checkpoint(last, weights, {"optimizer": adam.state_dict()}, AT)
    loaded = load_weights(last)
    assert loaded.keys() == weights.keys()
    assert all(torch.equal(loaded[name], weights[name]) for name in weights)
    assert load_state(last) == ({"optimizer": adam.state_dict()}, AT)
    assert sorted(path.name for path in last.parent.iterdir()) == ["last"]


class Killed(BaseException):
    """The process ends here: nothing that follows is done."""


def kill_at(monkeypatch: pytest.MonkeyPatch, place: int) -> None:
    """Let the process die before the ``place``-th change of the disk from now on."""
    count = itertools.count()

    def dying(function: Any) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            if next(count) >= place:
                raise Killed
            return function(*args, **options)

        return call

    changes = [(os, "replace"), (os, "fsync"), (Path, "mkdir"), (Path, "open")]
    for owner, name in [*changes, (checkpoint.shutil, "rmtree")]:
        monkeypatch.setattr(owner, name, dying(getattr(owner, name)))


@pytest.mark.parametrize("place", range(CHANGES))
def test_a_kill_at_any_moment_leaves_the_old_or_the_new(
    place: int, last: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(last, 1)
    with monkeypatch.context() as patch:
        kill_at(patch, place)
        try:
            save(last, 2)
        except Killed:
            assert has_checkpoint(last)
            assert load(last) in (1, 2)
    save(last, 3)
    assert load(last) == 3
    assert [path.name for path in last.parent.iterdir()] == ["last"]


def test_the_places_of_a_kill_reach_past_the_last_change(
    last: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(last, 1)
    kill_at(monkeypatch, CHANGES)
    save(last, 2)
    assert load(last) == 2


def test_reading_between_the_renames_moves_nothing(last: Path) -> None:
    save(last, 1)
    last.rename(last.with_name(".last.old"))
    assert load(last) == 1
    assert [path.name for path in last.parent.iterdir()] == [".last.old"]


@contextmanager
def room_for(count: int) -> Iterator[None]:
    """No file may grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize(("weights", "state"), [(10**6, 1), (1, 10**6)], ids=["weights", "state"])
def test_a_full_disk_keeps_the_old_and_is_told_in_one_line(
    weights: int, state: int, last: Path
) -> None:
    save(last, 1)
    with room_for(2**16), pytest.raises(DataError, match="disk is full") as told:
        save_checkpoint(last, {"w": torch.zeros(weights)}, {"optimizer": torch.zeros(state)}, AT)
    assert "\n" not in told.value.message
    assert load(last) == 1
    assert [path.name for path in last.parent.iterdir()] == ["last"]


def test_no_checkpoint_is_told_with_the_way_on(last: Path) -> None:
    with pytest.raises(DataError, match="no checkpoint at") as told:
        load_weights(last)
    assert f"nsi train --resume {last.parent.parent}" in told.value.hint
    assert not has_checkpoint(last)


@pytest.mark.parametrize("name", [WEIGHTS, STATE])
@pytest.mark.parametrize("content", [b"", b"half a file"])
def test_a_damaged_checkpoint_is_told_in_one_line(name: str, content: bytes, last: Path) -> None:
    save(last, 1)
    (last / name).write_bytes(content)
    with pytest.raises(DataError, match="cannot be read") as told:
        load(last)
    assert "\n" not in told.value.message
    assert told.value.hint


class Code:
    """Runs when it is unpickled the careless way."""

    def __reduce__(self) -> Any:
        return print, ("this ran",)


def test_a_state_that_holds_code_is_refused(last: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(last, 1)
    torch.save({"optimizer": Code(), "progressed": {}}, last / STATE, pickle_module=pickle)
    with pytest.raises(DataError, match="cannot be read"):
        load_state(last)
    assert capsys.readouterr().out == ""


def test_weights_of_another_size_are_refused(last: Path) -> None:
    save_checkpoint(last, torch.nn.Linear(2, 3).state_dict(), {}, AT)
    with pytest.raises(DataError, match=r"config\.yaml"):
        restore(torch.nn.Linear(2, 4), load_weights(last), last)
    model = torch.nn.Linear(2, 3)
    restore(model, load_weights(last), last)
    assert torch.equal(model.weight, load_weights(last)["weight"])
