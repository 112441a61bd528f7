"""A build that is interrupted or killed leaves an existing store as it was, and no files."""

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

from nsi_cli.data.build import folder as build_folder
from nsi_cli.data.build.build import build_store
from nsi_cli.data.build.folder import check_out
from nsi_cli.data.build.options import BuildOptions
from nsi_cli.data.store.reader import Store, is_store, open_store
from nsi_cli.schema.scene import Scene
from nsi_cli.support.errors import DataError
from nsi_cli.support.files import held

SIZES = (("train", 150), ("test", 20))
OPTIONS = BuildOptions(16, max_skipped=0.1)
Tree = Callable[[Path], dict[str, bytes]]


@pytest.fixture
def failing(numbered: Any) -> Iterator[Any]:
    """A builder of `Numbered` scenes that raises the ``failures``, by the number of the scene."""

    @dataclass(frozen=True)
    class Failing(numbered):  # type: ignore[misc]
        failures: ClassVar[dict[int, BaseException]] = {}

        def load(self, source: int) -> Scene:
            if source in self.failures:
                raise self.failures[source]
            return super().load(source)  # type: ignore[no-any-return]

    yield Failing
    Failing.failures.clear()


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("a bug"), SystemExit(1)])
@pytest.mark.parametrize("before", [False, True])
def test_a_build_that_is_interrupted_leaves_the_store_that_was_there_and_nothing_else(
    failing: Any, tmp_path: Path, tree: Tree, error: BaseException, before: bool
) -> None:
    deep, builder = tmp_path / "deep", failing(tmp_path / "raw", SIZES)
    if before:
        build_store(builder, "x", deep / "out", BuildOptions(8))
    was = tree(tmp_path)
    failing.failures[100] = error
    with pytest.raises(type(error)):
        build_store(builder, "x", deep / "out", OPTIONS)
    assert tree(tmp_path) == was
    assert _names(tmp_path) == (["deep"] if before else [])
    failing.failures.clear()
    build_store(builder, "x", deep / "out", OPTIONS)
    build_store(builder, "x", tmp_path / "whole", OPTIONS)
    assert _names(deep) == ["out"]
    assert tree(deep / "out") == tree(tmp_path / "whole")


def test_a_build_that_is_interrupted_in_its_last_step_leaves_nothing(
    failing: Any, tmp_path: Path
) -> None:
    def interrupt(store: Store) -> None:
        assert is_store(store.path)
        raise KeyboardInterrupt

    builder = failing(tmp_path / "raw", SIZES)
    with pytest.raises(KeyboardInterrupt):
        build_store(builder, "x", tmp_path / "out", OPTIONS, finish=interrupt)
    assert _names(tmp_path) == []


def test_files_that_are_added_to_a_complete_store_are_moved_with_it(
    failing: Any, tmp_path: Path
) -> None:
    def add(store: Store) -> None:
        assert store.images("train", [3])[0, 0, 0, 0] == 3
        (store.path / "summary.json").write_text("{}")

    builder = failing(tmp_path / "raw", SIZES)
    store = open_store(build_store(builder, "x", tmp_path / "out", OPTIONS, finish=add))
    assert (store.path / "summary.json").read_text() == "{}"
    assert "summary.json" not in store.build["files"]


def test_a_build_that_is_interrupted_in_its_first_step_leaves_nothing(
    failing: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = iter([KeyboardInterrupt])

    def stop(*how: Any, **more: Any) -> Any:
        for error in calls:
            raise error
        return held(*how, **more)

    monkeypatch.setattr(build_folder, "held", stop)
    with pytest.raises(KeyboardInterrupt):
        build_store(failing(tmp_path / "raw", SIZES), "x", tmp_path / "deep" / "out", OPTIONS)
    assert _names(tmp_path) == []


@pytest.mark.parametrize("at_once", [1, 2000, 1 << 23])
def test_skipped_scenes_leave_no_gap(
    failing: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr("nsi_cli.data.build.build.COPIED", at_once)
    failing.failures.update({number: ValueError("odd") for number in (0, 5, 100, 149, 160)})
    builder = failing(tmp_path / "raw", SIZES)
    store = open_store(build_store(builder, "x", tmp_path / "out", OPTIONS))
    numbers = [number for number in range(150) if number not in failing.failures]
    assert store.ids("train") == [f"scene{number}" for number in numbers]
    assert store.images("train", range(146))[:, 0, 0, 0].tolist() == numbers
    assert (store.masks("train", range(146)).max((1, 2)) == [n % 5 for n in numbers]).all()
    assert store.primitives("train")[1].tolist() == [number % 5 for number in numbers]
    assert [item["scene"] for item in store.build["skipped"]] == ["0", "5", "100", "149", "160"]
    assert "rows.h5" not in _names(tmp_path / "out")


@pytest.mark.parametrize("how", ["pwrite", "fsync"])
def test_a_full_disk_is_an_error_and_leaves_nothing(
    failing: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    calls, real = 0, getattr(os, how)

    def fill(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > (150 if how == "pwrite" else 2):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*arguments)

    monkeypatch.setattr(os, how, fill)
    with pytest.raises(DataError) as caught:
        build_store(failing(tmp_path / "raw", SIZES), "x", tmp_path / "out", OPTIONS)
    assert caught.value.message == f"cannot write {tmp_path / 'out'}: the disk is full"
    assert "free some space" in caught.value.hint
    assert _names(tmp_path) == []


def test_a_build_that_fails_by_its_data_leaves_nothing(failing: Any, tmp_path: Path) -> None:
    failing.failures.update({number: ValueError("odd") for number in range(100, 150)})
    with pytest.raises(DataError, match="scenes cannot be read"):
        build_store(failing(tmp_path / "raw", SIZES), "x", tmp_path / "deep" / "out", OPTIONS)
    assert _names(tmp_path) == []


def test_two_processes_do_not_build_one_store(failing: Any, tmp_path: Path) -> None:
    folder = tmp_path / ".out.building"
    (folder / "store").mkdir(parents=True)
    with held(folder / ".lock", waiting=lambda: None):
        with pytest.raises(DataError, match=r"another process is building .*out"):
            build_store(failing(tmp_path / "raw", SIZES), "x", tmp_path / "out", OPTIONS)
        check_out(tmp_path / "out", tmp_path / "raw", force=True)
        assert (folder / "store").is_dir()  # that process still needs it
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("clear", ["next build", "check"])
def test_the_files_of_a_killed_build_are_removed(failing: Any, tmp_path: Path, clear: str) -> None:
    left = tmp_path / ".out.building" / "store"
    left.mkdir(parents=True)
    (left / "rows.h5").write_bytes(b"half")
    (left / "build.json").write_text("{}")
    builder = failing(tmp_path / "raw", SIZES)
    if clear == "next build":
        build_store(builder, "x", tmp_path / "out", OPTIONS)
        assert "rows.h5" not in _names(tmp_path / "out")
        assert _names(tmp_path) == ["out"]
    else:
        check_out(tmp_path / "out", tmp_path / "raw", force=True)
        assert _names(tmp_path) == []


KILLED = """
import sys
from pathlib import Path
from nsi_clevrtex.builder import ClevrtexBuilder
from nsi_cli.data.build.build import build_store
from nsi_cli.data.build.options import BuildOptions

raw, out, workers = sys.argv[1:]
if __name__ == "__main__":
    print("ready", flush=True)
    options = BuildOptions(48, int(workers))
    build_store(ClevrtexBuilder(Path(raw)), "clevrtex", Path(out), options)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "most"), [(0, 5), (2, 3)])
def test_killed_at_random_moments_there_is_always_a_whole_store_or_none(
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
    seconds, kills, whole = time.monotonic() - began, 0, tree(tmp_path / "whole")
    while kills < most:
        with start("out") as process:
            try:
                process.wait(rng.uniform(0, 0.9) * seconds)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                kills += 1
        if is_store(tmp_path / "out"):  # one build ended before it was killed
            assert tree(tmp_path / "out") == whole
        else:
            assert not (tmp_path / "out").exists()
    with start("out") as process:
        assert process.wait() == 0
    assert _names(tmp_path) == ["build.py", "out", "whole"]
    assert tree(tmp_path / "out") == whole
