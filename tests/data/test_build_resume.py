"""A build that ends before its time goes on where it stopped, to the same store."""

import errno
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from nsi_cli.data import build, build_folder
from nsi_cli.data.build import BuildOptions, build_store
from nsi_cli.data.build_folder import clear_rest
from nsi_cli.data.scene import Scene
from nsi_cli.data.store import open_store
from nsi_cli.errors import DataError
from nsi_cli.files import held
from nsi_cli.progress import Progress

SIZES = (("train", 150), ("test", 20))
OPTIONS = BuildOptions(16, max_skipped=0.1)
Tree = Callable[[Path], dict[str, bytes]]


class Notes(Progress):
    """Keeps what is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def note(self, text: str) -> None:
        self.told.append(text)


@pytest.fixture
def tricky(numbered: Any) -> Iterator[Any]:
    """A builder that fails as it is told to, and tells what it loaded."""

    @dataclass(frozen=True)
    class Tricky(numbered):  # type: ignore[misc]
        loaded: ClassVar[list[int]] = []
        failures: ClassVar[dict[int, BaseException]] = {}

        def load(self, source: int) -> Scene:
            self.loaded.append(source)
            if source in self.failures:
                raise self.failures[source]
            return super().load(source)  # type: ignore[no-any-return]

    yield Tricky
    Tricky.loaded.clear()
    Tricky.failures.clear()


@pytest.fixture(autouse=True)
def _saved_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_folder, "SECONDS_BETWEEN_SAVES", 0.0)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_interrupted_build_loads_only_what_is_not_there_yet(
    tricky: Any, tmp_path: Path, tree: Tree
) -> None:
    builder = tricky(tmp_path / "raw", SIZES)
    build_store(builder, "x", tmp_path / "whole", OPTIONS)
    tricky.failures[100] = KeyboardInterrupt()
    notes = Notes()
    with pytest.raises(KeyboardInterrupt):
        build_store(builder, "x", tmp_path / "out", OPTIONS, notes)
    assert _names(tmp_path) == [".out.building", "whole"]
    assert "the same command goes on from there" in notes.told[-1]
    tricky.failures.clear()
    tricky.loaded.clear()
    build_store(builder, "x", tmp_path / "out", OPTIONS, notes)
    assert tricky.loaded == list(range(96, 170))  # three chunks of 32 were down
    assert notes.told[-1] == "goes on with a build: 96 of 170 scenes done"
    assert _names(tmp_path) == ["out", "whole"]
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


@pytest.mark.parametrize("skips", [False, True])
def test_one_killed_while_its_files_are_written_goes_on(
    tricky: Any, tmp_path: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch, skips: bool
) -> None:
    builder = tricky(tmp_path / "raw", SIZES)
    tricky.failures.update({3: ValueError("odd"), 160: ValueError("odd")} if skips else {})
    build_store(builder, "x", tmp_path / "whole", OPTIONS)
    real = build.complete_store

    def stop(*how: Any) -> None:
        real(*how)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(build, "complete_store", stop)
        with pytest.raises(KeyboardInterrupt):
            build_store(builder, "x", tmp_path / "out", OPTIONS)
    tricky.loaded.clear()
    build_store(builder, "x", tmp_path / "out", OPTIONS)
    assert set(tricky.loaded) == ({3, 160} if skips else set())
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_what_was_skipped_is_tried_again_and_leaves_no_gap(tricky: Any, tmp_path: Path) -> None:
    builder = tricky(tmp_path / "raw", SIZES)
    tricky.failures.update({3: ValueError("odd"), 5: ValueError("odd"), 100: KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        build_store(builder, "x", tmp_path / "out", OPTIONS)
    del tricky.failures[3], tricky.failures[100]  # one is mended
    store = open_store(build_store(builder, "x", tmp_path / "out", OPTIONS))
    numbers = [number for number in range(150) if number != 5]
    assert store.ids("train") == [f"scene{number}" for number in numbers]
    assert store.images("train", range(149))[:, 0, 0, 0].tolist() == numbers
    assert store.primitives("train")[1].tolist() == [number % 5 for number in numbers]
    assert [item["scene"] for item in store.build["skipped"]] == ["5"]


def test_a_disk_that_fills_up_keeps_what_is_down(
    tricky: Any, tmp_path: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    builder = tricky(tmp_path / "raw", SIZES)
    build_store(builder, "x", tmp_path / "whole", OPTIONS)
    calls = 0

    def fill(*how: Any) -> int:
        nonlocal calls
        calls += 1
        if calls > 150:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(*how)

    write = os.pwrite
    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", fill)
        with pytest.raises(DataError) as caught:
            build_store(builder, "x", tmp_path / "out", OPTIONS)
    assert caught.value.message == f"cannot write {tmp_path / 'out'}: the disk is full"
    assert "free some space" in caught.value.hint
    tricky.loaded.clear()
    build_store(builder, "x", tmp_path / "out", OPTIONS)
    assert tricky.loaded[0] == 64
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_other_options_begin_anew(tricky: Any, tmp_path: Path) -> None:
    tricky.failures[100] = KeyboardInterrupt()
    for sizes, options in ((SIZES, OPTIONS), (SIZES, BuildOptions(32)), (SIZES[:1], OPTIONS)):
        tricky.loaded.clear()
        with pytest.raises(KeyboardInterrupt):
            build_store(tricky(tmp_path / "raw", sizes), "x", tmp_path / "out", options)
        assert tricky.loaded[:2] == [0, 0]  # the first is looked at for its mask
    tricky.failures.clear()
    tricky.loaded.clear()
    notes = Notes()
    build_store(tricky(tmp_path / "raw", SIZES), "x", tmp_path / "out", OPTIONS, notes)
    assert notes.told == [f"begins anew: {tmp_path / '.out.building'} is of another build"]
    assert len(tricky.loaded) == 171
    assert _names(tmp_path) == ["out"]


def test_a_build_that_fails_by_its_data_leaves_nothing(tricky: Any, tmp_path: Path) -> None:
    tricky.failures.update({number: ValueError("odd") for number in range(100, 150)})
    with pytest.raises(DataError, match="scenes cannot be read"):
        build_store(tricky(tmp_path / "raw", SIZES), "x", tmp_path / "deep" / "out", OPTIONS)
    assert _names(tmp_path) == []


def test_a_line_that_was_cut_off_is_built_again(tricky: Any, tmp_path: Path, tree: Tree) -> None:
    builder = tricky(tmp_path / "raw", SIZES)
    build_store(builder, "x", tmp_path / "whole", OPTIONS)
    tricky.failures[100] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        build_store(builder, "x", tmp_path / "out", OPTIONS)
    journal = tmp_path / ".out.building" / "journal.jsonl"
    os.truncate(journal, journal.stat().st_size - 7)
    tricky.failures.clear()
    tricky.loaded.clear()
    build_store(builder, "x", tmp_path / "out", OPTIONS)
    assert tricky.loaded[0] == 64
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_two_processes_do_not_build_one_store(tricky: Any, tmp_path: Path) -> None:
    folder = tmp_path / ".out.building"
    folder.mkdir()
    with (
        held(folder / ".lock", waiting=lambda: None),
        pytest.raises(DataError, match=r"another process is building .*out"),
    ):
        build_store(tricky(tmp_path / "raw", SIZES), "x", tmp_path / "out", OPTIONS)
    assert not (tmp_path / "out").exists()


def test_the_rest_of_one_killed_in_its_last_moment_is_cleared(
    tricky: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(build_folder, "remove", lambda path: None)
        build_store(tricky(tmp_path / "raw", SIZES), "x", tmp_path / "out", OPTIONS)
    assert _names(tmp_path) == [".out.building", "out"]
    clear_rest(tmp_path / "out")
    assert _names(tmp_path) == ["out"]


KILLED = """
import sys
from pathlib import Path
from nsi_clevrtex.builder import ClevrtexBuilder
from nsi_cli.data import build_folder
from nsi_cli.data.build import BuildOptions, build_store

raw, out, workers = sys.argv[1:]
if __name__ == "__main__":
    build_folder.SECONDS_BETWEEN_SAVES = 0.02
    print("ready", flush=True)
    options = BuildOptions(48, int(workers))
    build_store(ClevrtexBuilder(Path(raw)), "clevrtex", Path(out), options)
"""


@pytest.mark.parametrize(("workers", "most"), [(0, 5), (2, 3)])
def test_killed_at_random_moments_it_ends_in_the_same_store(
    raw: Path, tmp_path: Path, tree: Tree, workers: int, most: int
) -> None:
    script, rng = tmp_path / "build.py", random.Random(workers)
    script.write_text(KILLED)

    def start(out: str) -> "subprocess.Popen[bytes]":
        words = [sys.executable, script, raw, tmp_path / out, str(workers)]
        process = subprocess.Popen(
            words, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        return process

    with start("whole") as process:
        began = time.monotonic()
        assert process.wait() == 0
    seconds, kills = time.monotonic() - began, 0
    while kills < most:  # one that ends before it is killed is built again
        with start("out") as process:
            try:
                process.wait(rng.uniform(0, 0.9) * seconds)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                kills += 1
    with start("out") as process:
        assert process.wait() == 0
    assert _names(tmp_path) == ["build.py", "out", "whole"]
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")
