"""At every moment there is one whole checkpoint on disk, and it can hold no code."""

from __future__ import annotations

import itertools
import os
import pickle
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from nsi_cli.support.errors import ConfigError, DataError
from nsi_cli.training import checkpoint as rotation
from nsi_cli.training.checkpoint import (
    STATE,
    WEIGHTS,
    TrainingState,
    checkpoint_named,
    has_checkpoint,
    load_state,
    load_weights,
    make_last,
    restore,
    save_checkpoint,
)
from nsi_cli.training.schedule import Plateau

CHANGES = 11
"""Of the disk, that a save makes over an old checkpoint."""

AT = TrainingState(step=7, epoch=1, batches=2, running=3.5, plateau=Plateau(1.5, 2, 0.25))


def save(folder: Path, step: int, keep: int | None = None) -> None:
    """A checkpoint whose every part says which step it is of."""
    weights = {"w": torch.full((3,), float(step))}
    state = {"optimizer": {"step": step}}
    save_checkpoint(folder, weights, state, replace(AT, step=step), store="abc", keep=keep)


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
    save_checkpoint(last, weights, {"optimizer": adam.state_dict()}, AT, store="abc")
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
    for owner, name in [*changes, (rotation.shutil, "rmtree")]:
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


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_newest_are_kept_by_their_steps(last: Path) -> None:
    save(last.with_name("best"), 2)
    for step in (2, 4, 8, 16, 160):
        save(last, step, keep=3)
    assert names(last.parent) == ["best", "last", "step-00000008", "step-00000016"]
    assert [load(last.with_name(name)) for name in names(last.parent)] == [2, 160, 8, 16]


def test_the_best_leaves_what_is_kept_beside_it_alone(last: Path) -> None:
    save(last, 1, keep=2)
    save(last, 2, keep=2)
    save(last.with_name("best"), 3)
    save(last.with_name("best"), 4)
    assert names(last.parent) == ["best", "last", "step-00000001"]


KEPT_CHANGES = 18


@pytest.mark.parametrize("place", range(KEPT_CHANGES))
def test_a_kill_while_some_are_kept_loses_none_but_the_oldest(
    place: int, last: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in (1, 2, 3):
        save(last, step, keep=3)
    with monkeypatch.context() as patch:
        kill_at(patch, place)
        try:
            save(last, 4, keep=3)
        except Killed:
            assert load(last) in (3, 4)
            kept = {load(path) for path in last.parent.glob("step-*")}
            assert 2 in kept
    save(last, 5, keep=3)
    assert load(last) == 5
    kept = [load(path) for path in sorted(last.parent.glob("step-*"))]
    assert kept in ([2, 3], [3, 4])
    assert names(last.parent) == ["last", *(f"step-{step:08d}" for step in kept)]


def test_those_places_of_a_kill_reach_past_the_last_change(
    last: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in (1, 2, 3):
        save(last, step, keep=3)
    kill_at(monkeypatch, KEPT_CHANGES)
    save(last, 4, keep=3)
    assert names(last.parent) == ["last", "step-00000002", "step-00000003"]


def test_going_back_makes_an_earlier_one_the_last_and_then_forgets_the_later(last: Path) -> None:
    for step in (1, 2, 3):
        save(last, step, keep=3)
    make_last(last, checkpoint_named(last.parent, "step-00000001"))
    assert load(last) == 1
    assert names(last.parent) == ["last", *(f"step-{step:08d}" for step in (1, 2, 3))]
    save(last, 2, keep=3)
    assert names(last.parent) == ["last", "step-00000001"]


def test_going_back_to_the_last_or_to_a_damaged_one_moves_nothing(last: Path) -> None:
    save(last, 1, keep=2)
    save(last, 2, keep=2)
    make_last(last, last)
    earlier = last.with_name("step-00000001")
    (earlier / STATE).write_bytes(b"half")
    with pytest.raises(DataError, match="cannot be read"):
        make_last(last, earlier)
    assert load(last) == 2
    assert names(last.parent) == ["last", "step-00000001"]


@pytest.mark.parametrize("place", range(CHANGES))
def test_a_kill_while_going_back_leaves_a_whole_last(
    place: int, last: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(last.with_name("best"), 1)
    save(last, 2)
    with monkeypatch.context() as patch:
        kill_at(patch, place)
        try:
            make_last(last, last.with_name("best"))
        except Killed:
            assert load(last) in (1, 2)
    save(last, 3, keep=1)
    assert load(last) == 3
    assert names(last.parent) == ["best", "last"]


def test_an_unknown_checkpoint_is_told_with_those_there_are(last: Path) -> None:
    save(last, 1, keep=2)
    save(last, 2, keep=2)
    assert checkpoint_named(last.parent, "best") == last.with_name("best")  # not yet, but may be
    for name in ("step-00000009", "../..", "lst"):
        with pytest.raises(ConfigError, match="no checkpoint") as result:
            checkpoint_named(last.parent, name)
        assert "last" in result.value.hint or "step-00000001" in result.value.hint


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
    optimizer = {"optimizer": torch.zeros(state)}
    with room_for(2**16), pytest.raises(DataError, match="disk is full") as result:
        save_checkpoint(last, {"w": torch.zeros(weights)}, optimizer, AT, store="abc")
    assert "\n" not in result.value.message
    assert load(last) == 1
    assert [path.name for path in last.parent.iterdir()] == ["last"]


def test_no_checkpoint_is_told_with_the_way_on(last: Path) -> None:
    with pytest.raises(DataError, match="no checkpoint at") as result:
        load_weights(last)
    assert f"nsi train --resume {last.parent.parent}" in result.value.hint
    assert not has_checkpoint(last)


@pytest.mark.parametrize("name", [WEIGHTS, STATE])
@pytest.mark.parametrize("content", [b"", b"half a file"])
def test_a_damaged_checkpoint_is_told_in_one_line(name: str, content: bytes, last: Path) -> None:
    save(last, 1)
    (last / name).write_bytes(content)
    with pytest.raises(DataError, match="cannot be read") as result:
        load(last)
    assert "\n" not in result.value.message
    assert result.value.hint


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", [WEIGHTS, STATE])
@pytest.mark.parametrize(
    ("make", "result"),
    [
        (Path.mkdir, "a folder"),
        (os.mkfifo, "a named pipe"),
        (lambda path: path.symlink_to("/dev/zero"), "a device"),
        (lambda path: (path.touch(), os.truncate(path, 1 << 40)), "more than 64,000,000,000 bytes"),
    ],
)
def test_what_is_no_file_is_told_and_not_waited_for(
    name: str, make: Callable[[Path], object], result: str, last: Path
) -> None:
    save(last, 1)
    (last / name).unlink()
    make(last / name)
    with pytest.raises(DataError, match=rf"{name} cannot be read: .*{result}"):
        load(last)


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
    save_checkpoint(last, torch.nn.Linear(2, 3).state_dict(), {}, AT, store="abc")
    with pytest.raises(DataError, match=r"config\.yaml"):
        restore(torch.nn.Linear(2, 4), load_weights(last), last)
    model = torch.nn.Linear(2, 3)
    restore(model, load_weights(last), last)
    assert torch.equal(model.weight, load_weights(last)["weight"])
