"""At every moment there is one whole checkpoint on disk, and it can hold no code."""

from __future__ import annotations

import itertools
import os
import pickle
import resource
import signal
import subprocess
import sys
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
    weights = {"a": torch.randn(2, 3), "b": torch.randn(4).T}
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

    for owner, name in ((os, "replace"), (checkpoint, "_write_tensors"),
                        (checkpoint, "_write_state"), (checkpoint.shutil, "rmtree"),
                        (Path, "mkdir")):  # fmt: skip
        monkeypatch.setattr(owner, name, dying(getattr(owner, name)))


@pytest.mark.parametrize("place", range(8))
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
    kill_at(monkeypatch, 8)
    save(last, 2)
    assert load(last) == 2


def test_reading_between_the_renames_moves_nothing(last: Path) -> None:
    save(last, 1)
    last.rename(last.with_name(".last.old"))
    assert load(last) == 1
    assert [path.name for path in last.parent.iterdir()] == [".last.old"]


def test_a_full_disk_keeps_the_old_and_is_told_in_one_line(last: Path) -> None:
    save(last, 1)
    code = f"""
        import resource, signal, torch
        from pathlib import Path
        from nsi_cli.errors import DataError
        from nsi_cli.training.checkpoint import Progressed, save_checkpoint
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, LIMIT))
        try:
            save_checkpoint(Path({str(last)!r}), {{"w": torch.zeros(WEIGHTS)}},
                            {{"optimizer": torch.zeros(STATE)}}, Progressed())
        except DataError as error:
            print(error.message, "|", error.hint)
    """
    del resource, signal, code
