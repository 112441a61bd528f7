"""Files and folders are written completely or not at all, also by a process that is killed."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nsi_cli.support.errors import DataError
from nsi_cli.support.files import (
    check_free_space,
    disk_errors_explained,
    held,
    read_json,
    replacing,
    replacing_folder,
    sha256,
    write_json,
)


class StopHereError(Exception):
    """The error that these tests raise while writing."""


def _write(path: Path, text: str = "new") -> None:
    with replacing_folder(path) as folder:
        (folder / "file").write_text(text)


def _fail_halfway(path: Path) -> None:
    path.write_text("half")
    raise StopHereError


def _fail_writing(path: Path) -> None:
    with pytest.raises(StopHereError), replacing_folder(path) as folder:
        _fail_halfway(folder / "file")


def _write_and_be_killed(path: Path, before: str = "") -> None:
    """Run ``before`` and write the folder in a process that is killed meanwhile."""
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


def _paths_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_complete_folder_replaces_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "down"
    with replacing_folder(path) as folder:
        assert not path.exists()
        (folder / "file").write_text("old")
    _write(path)
    assert (path / "file").read_text() == "new"
    assert _paths_in(tmp_path) == ["deep", "deep/down", "deep/down/file"]


def test_a_failure_leaves_nothing_not_even_parent_folders(tmp_path: Path) -> None:
    _fail_writing(tmp_path / "deep" / "down")
    assert _paths_in(tmp_path) == []
    with pytest.raises(StopHereError), replacing(tmp_path / "deep" / "file") as temporary:
        _fail_halfway(temporary)
    assert _paths_in(tmp_path) == []


def test_a_failure_leaves_the_old_folder_unchanged(tmp_path: Path) -> None:
    _write(tmp_path / "target", "old")
    _fail_writing(tmp_path / "target")
    assert _paths_in(tmp_path) == ["target", "target/file"]
    assert (tmp_path / "target" / "file").read_text() == "old"


def test_the_old_folder_is_restored_if_the_new_one_cannot_be_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(tmp_path / "target", "old")
    real = os.replace

    def refusing(source: Path, target: Path) -> None:
        if str(source).endswith(".part"):
            raise OSError(errno.EIO, "Input/output error")
        real(source, target)

    monkeypatch.setattr(os, "replace", refusing)
    with pytest.raises(DataError, match="Input/output error"):
        _write(tmp_path / "target")
    assert _paths_in(tmp_path) == ["target", "target/file"]
    assert (tmp_path / "target" / "file").read_text() == "old"


def test_the_next_writer_removes_the_temporary_folder_of_a_killed_process(tmp_path: Path) -> None:
    _write(tmp_path / "target", "old")
    _write_and_be_killed(tmp_path / "target")
    assert len(_paths_in(tmp_path)) > 2
    assert (tmp_path / "target" / "file").read_text() == "old"
    _write(tmp_path / "target")
    assert _paths_in(tmp_path) == ["target", "target/file"]


def test_a_process_killed_between_its_two_renames_loses_nothing(tmp_path: Path) -> None:
    _write(tmp_path / "target", "old")
    _write_and_be_killed(
        tmp_path / "target",
        before="real = os.replace; os.replace = lambda *args: (real(*args), die())",
    )
    assert not (tmp_path / "target").exists()
    _fail_writing(tmp_path / "target")
    assert _paths_in(tmp_path) == ["target", "target/file"]
    assert (tmp_path / "target" / "file").read_text() == "old"


def test_a_temporary_folder_with_our_own_process_id_is_replaced(tmp_path: Path) -> None:
    with replacing_folder(tmp_path / "target") as temporary:
        pass
    temporary.mkdir()
    (temporary / "stale").touch()
    _write(tmp_path / "target")
    assert _paths_in(tmp_path) == ["target", "target/file"]


def test_temporary_folders_of_running_processes_and_other_machines_are_kept(tmp_path: Path) -> None:
    with replacing_folder(tmp_path / "target") as folder:
        name = folder.name
    parts = name.split(".")
    living = ".".join([*parts[:-2], str(os.getppid()), parts[-1]])
    elsewhere = ".".join([*parts[:-3], "another-machine", "1", parts[-1]])
    for name in (living, elsewhere):
        (tmp_path / name).mkdir()
    _write(tmp_path / "target")
    assert _paths_in(tmp_path) == sorted([living, elsewhere, "target", "target/file"])


def test_the_folder_that_a_link_points_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "disk" / "store").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "store")
    _write(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert _paths_in(tmp_path) == ["disk", "disk/store", "disk/store/file", "link"]


def test_a_folder_that_cannot_be_replaced_is_an_error_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here" / "in").mkdir(parents=True)
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path / "here" / "in")
    refused = [(Path(), "current"), (tmp_path / "here", "current"), (tmp_path / "file", "a file")]
    for path, result in [*refused, (Path("/dev"), "current|mounted")]:
        with pytest.raises(DataError, match=result), replacing_folder(path):
            pytest.fail("the body ran")


def test_a_path_below_a_file_is_an_error(tmp_path: Path) -> None:
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
def test_a_full_disk_is_named_as_the_cause(error: OSError) -> None:
    with (
        pytest.raises(DataError) as caught,
        disk_errors_explained(Path("out"), "--elsewhere"),
    ):
        raise error
    assert caught.value.message == "cannot write out: the disk is full"
    assert "--elsewhere" in caught.value.hint


def test_any_other_error_of_the_disk_is_a_one_line_message() -> None:
    with pytest.raises(DataError) as caught, disk_errors_explained(Path("out")):
        raise OSError(errno.EIO, "broken\n   at once")
    assert caught.value.message == "cannot write out: broken at once"


def test_too_little_disk_space_is_an_error_also_if_the_folder_does_not_exist_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = []

    def disk_usage(path: Path) -> object:
        paths.append(path)
        return shutil._ntuple_diskusage(10**10, 0, 2_000_000)  # type: ignore[attr-defined]

    monkeypatch.setattr(shutil, "disk_usage", disk_usage)
    check_free_space(tmp_path / "a" / "b", 2_000_000, "a store", "free some")
    with pytest.raises(
        DataError, match=r"the disk is full: a store needs 3.0 GB, but 2.0 MB are free"
    ):
        check_free_space(tmp_path / "a" / "b", 3 * 10**9, "a store", "free some")
    assert set(paths) == {tmp_path}


def test_json_is_written_atomically_and_read_back(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"τ": [1, None]})
    assert read_json(tmp_path / "a.json", "table", "") == {"τ": [1, None]}
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"new": object()})
    assert read_json(tmp_path / "a.json", "table", "") == {"τ": [1, None]}
    assert _paths_in(tmp_path) == ["a.json"]


@pytest.mark.parametrize("content", [None, b"", b'{"a": 1', b"\xff", b"[" * 100_000])
def test_json_that_cannot_be_read_is_a_one_line_error(
    tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DataError, match=r"table .*a\.json|no table at") as caught:
        read_json(tmp_path / "a.json", "table", "lay it again")
    assert caught.value.hint == "lay it again"
    assert "\n" not in caught.value.message


def test_sha256_is_the_hash_of_the_bytes(tmp_path: Path) -> None:
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
    with held(lock, waiting=lambda: pytest.fail("no other process holds it")):
        other = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        assert other.stdout is not None
        assert other.stdout.readline() == "waiting\n"
        assert not log.exists()
    other.communicate(timeout=30)
    assert log.read_text() == "in"


@pytest.mark.parametrize(
    ("flag", "number", "hint"),
    [
        ("", errno.EACCES, "check the path and its permissions, or choose another path"),
        ("--out", errno.ENOSPC, "free some space, or choose another path with --out"),
    ],
)
def test_an_error_of_the_disk_names_the_flag_of_the_path(
    tmp_path: Path, flag: str, number: int, hint: str
) -> None:
    with pytest.raises(DataError) as caught, disk_errors_explained(tmp_path, flag):
        raise OSError(number, os.strerror(number))
    assert caught.value.hint == hint
