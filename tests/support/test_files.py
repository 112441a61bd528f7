"""Files and folders are whole or not there, whatever ends the one who writes them."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nsi_cli.support.errors import DataError
from nsi_cli.support.files import (
    check_room,
    disk_errors_explained,
    held,
    read_json,
    replacing,
    replacing_folder,
    sha256,
    write_json,
)


class StopHereError(Exception):
    """What goes wrong in these tests."""


def _write(path: Path, text: str = "new") -> None:
    with replacing_folder(path) as folder:
        (folder / "file").write_text(text)


def _half(path: Path) -> None:
    path.write_text("half")
    raise StopHereError


def _fail_writing(path: Path) -> None:
    with pytest.raises(StopHereError), replacing_folder(path) as folder:
        _half(folder / "file")


def _killed(path: Path, before: str = "") -> None:
    """Write the folder in a process that is killed while at it, after running ``before``."""
    script = f"""
import os, signal
from pathlib import Path
from nsi_cli.support import files
die = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
{before}
with files.replacing_folder(Path({str(path)!r})) as folder:
    (folder / "file").write_text("half")
    if not {before!r}:
        die()
"""
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == -9


def _all(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_folder_appears_whole_and_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    place = tmp_path / "deep" / "down"
    with replacing_folder(place) as folder:
        assert not place.exists()
        (folder / "file").write_text("old")
    _write(place)
    assert (place / "file").read_text() == "new"
    assert _all(tmp_path) == ["deep", "deep/down", "deep/down/file"]


def test_a_failure_leaves_nothing_not_even_the_folders_above(tmp_path: Path) -> None:
    _fail_writing(tmp_path / "deep" / "down")
    assert _all(tmp_path) == []
    with pytest.raises(StopHereError), replacing(tmp_path / "deep" / "file") as beside:
        _half(beside)
    assert _all(tmp_path) == []


def test_a_failure_leaves_the_old_folder_as_it_was(tmp_path: Path) -> None:
    _write(tmp_path / "place", "old")
    _fail_writing(tmp_path / "place")
    assert _all(tmp_path) == ["place", "place/file"]
    assert (tmp_path / "place" / "file").read_text() == "old"


def test_when_the_new_folder_cannot_be_moved_in_the_old_one_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(tmp_path / "place", "old")
    real = os.replace

    def refusing(source: Path, target: Path) -> None:
        if str(source).endswith(".part"):
            raise OSError(errno.EIO, "Input/output error")
        real(source, target)

    monkeypatch.setattr(os, "replace", refusing)
    with pytest.raises(DataError, match="Input/output error"):
        _write(tmp_path / "place")
    assert _all(tmp_path) == ["place", "place/file"]
    assert (tmp_path / "place" / "file").read_text() == "old"


def test_what_a_killed_process_left_is_cleared_by_the_next_writer(tmp_path: Path) -> None:
    _write(tmp_path / "place", "old")
    _killed(tmp_path / "place")
    assert len(_all(tmp_path)) > 2
    assert (tmp_path / "place" / "file").read_text() == "old"
    _write(tmp_path / "place")
    assert _all(tmp_path) == ["place", "place/file"]


def test_a_process_killed_between_its_two_moves_loses_nothing(tmp_path: Path) -> None:
    _write(tmp_path / "place", "old")
    _killed(
        tmp_path / "place",
        before="real = os.replace; os.replace = lambda *args: (real(*args), die())",
    )
    assert not (tmp_path / "place").exists()
    _fail_writing(tmp_path / "place")
    assert _all(tmp_path) == ["place", "place/file"]
    assert (tmp_path / "place" / "file").read_text() == "old"


def test_what_a_process_of_our_own_number_left_does_not_block(tmp_path: Path) -> None:
    with replacing_folder(tmp_path / "place") as folder:
        left = folder
    left.mkdir()
    (left / "stale").touch()
    _write(tmp_path / "place")
    assert _all(tmp_path) == ["place", "place/file"]


def test_what_a_living_process_or_another_machine_writes_is_left_alone(tmp_path: Path) -> None:
    with replacing_folder(tmp_path / "place") as folder:
        mine = folder.name
    parts = mine.split(".")
    living = ".".join([*parts[:-2], str(os.getppid()), parts[-1]])
    elsewhere = ".".join([*parts[:-3], "another-machine", "1", parts[-1]])
    for name in (living, elsewhere):
        (tmp_path / name).mkdir()
    _write(tmp_path / "place")
    assert _all(tmp_path) == sorted([living, elsewhere, "place", "place/file"])


def test_a_link_stays_a_link_and_the_folder_behind_it_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "disk" / "store").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "store")
    _write(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert _all(tmp_path) == ["disk", "disk/store", "disk/store/file", "link"]


def test_a_folder_that_cannot_be_replaced_is_told_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here" / "in").mkdir(parents=True)
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path / "here" / "in")
    places = [(Path(), "current"), (tmp_path / "here", "current"), (tmp_path / "file", "a file")]
    for place, result in [*places, (Path("/proc"), "current|mounted")]:
        with pytest.raises(DataError, match=result), replacing_folder(place):
            pytest.fail("the body ran")


def test_a_place_in_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for write in (replacing, replacing_folder):
        with (
            pytest.raises(DataError, match=r"cannot write .*: Not a directory"),
            write(tmp_path / "file" / "in"),
        ):
            pytest.fail("the body ran")


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        OSError(errno.EFBIG, "File too large"),
        OSError("Can't write data (errno = 28, error message = 'No space left on device')"),
    ],
)
def test_a_full_disk_is_called_so(error: OSError) -> None:
    with (
        pytest.raises(DataError) as caught,
        disk_errors_explained(Path("out"), "--elsewhere"),
    ):
        raise error
    assert caught.value.message == "cannot write out: the disk is full"
    assert "--elsewhere" in caught.value.hint


def test_another_refusal_is_told_in_one_line() -> None:
    with pytest.raises(DataError) as caught, disk_errors_explained(Path("out")):
        raise OSError(errno.EIO, "broken\n   at once")
    assert caught.value.message == "cannot write out: broken at once"


def test_too_little_room_is_told_even_where_the_folder_is_yet_to_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def disk_usage(path: Path) -> object:
        asked.append(path)
        return shutil._ntuple_diskusage(10**10, 0, 2_000_000)  # type: ignore[attr-defined]

    monkeypatch.setattr(shutil, "disk_usage", disk_usage)
    check_room(tmp_path / "a" / "b", 2_000_000, "a store", "free some")
    with pytest.raises(DataError, match=r"the disk is full: a store needs 3.0 GB, 2.0 MB are free"):
        check_room(tmp_path / "a" / "b", 3 * 10**9, "a store", "free some")
    assert set(asked) == {tmp_path}


def test_json_is_written_whole_and_read_back(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"τ": [1, None]})
    assert read_json(tmp_path / "a.json", "table", "") == {"τ": [1, None]}
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"new": object()})
    assert read_json(tmp_path / "a.json", "table", "") == {"τ": [1, None]}
    assert _all(tmp_path) == ["a.json"]


@pytest.mark.parametrize("content", [None, b"", b'{"a": 1', b"\xff", b"[" * 100_000])
def test_json_that_cannot_be_read_is_told_in_one_line(
    tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DataError, match=r"table .*a\.json|no table at") as caught:
        read_json(tmp_path / "a.json", "table", "lay it again")
    assert caught.value.hint == "lay it again"
    assert "\n" not in caught.value.message


def test_sha256_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256(tmp_path / "abc").startswith("ba7816bf8f01cfea")


def test_a_lock_is_held_by_one_process_at_a_time(tmp_path: Path) -> None:
    lock, log = tmp_path / "lock", tmp_path / "log"
    script = f"""
from pathlib import Path
from nsi_cli.support.files import held
with held(Path({str(lock)!r}), waiting=lambda: print("waiting", flush=True)):
    Path({str(log)!r}).write_text("in")
"""
    with held(lock, waiting=lambda: pytest.fail("nobody else holds it")):
        other = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        assert other.stdout is not None
        assert other.stdout.readline() == "waiting\n"
        assert not log.exists()
    other.communicate(timeout=30)
    assert log.read_text() == "in"
