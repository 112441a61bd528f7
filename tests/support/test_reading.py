"""Only regular files of a plausible size are opened; others are an error and never block."""

from __future__ import annotations

import os
import pickle
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nsi_cli.support.reading import UnsuitableFileError, open_regular, read_regular, reason_of


def _bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(path.name)


NOT_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "folder": (Path.mkdir, "a folder, not a file"),
    "pipe": (os.mkfifo, "a named pipe, not a file"),
    "socket": (_bind, "a socket or a device"),
    "endless": (lambda path: path.symlink_to("/dev/zero"), "a device, not a file"),
    "terminal": (lambda path: path.symlink_to("/dev/tty"), "a device"),
    "linked pipe": (
        lambda path: (os.mkfifo(path.parent / "p"), path.symlink_to("p")), "a named pipe",
    ),
}  # fmt: skip


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", NOT_FILES)
def test_other_than_regular_files_are_refused_immediately(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path may not be long
    make, result = NOT_FILES[kind]
    make(tmp_path / "path")
    for read in (open_regular, lambda path: read_regular(path, 9)):
        with pytest.raises(UnsuitableFileError, match=result):
            read(tmp_path / "path")


def test_a_link_to_a_file_is_followed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("file")
    assert read_regular(tmp_path / "link", 3) == b"abc"
    with open_regular(tmp_path / "link") as file:
        assert file.read() == b"abc"


def test_a_file_above_the_limit_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    os.truncate(tmp_path / "file", 1 << 40)  # takes no disk space, but would fill the memory
    with pytest.raises(UnsuitableFileError, match="more than 64 bytes"):
        read_regular(tmp_path / "file", 64)


def test_an_empty_file_takes_no_memory_whatever_the_limit(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert read_regular(tmp_path / "file", 1 << 50) == b""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has such files")
def test_a_file_without_a_known_size_is_read_up_to_the_limit() -> None:
    with pytest.raises(UnsuitableFileError, match="more than 64 bytes"):
        read_regular("/proc/self/status", 64)
    assert b"Name:" in read_regular("/proc/self/status", 1 << 20)


def test_a_missing_file_is_its_own_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "away")


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    before = len(list(Path("/dev/fd").iterdir()))
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(UnsuitableFileError):
            open_regular(path)
    assert len(list(Path("/dev/fd").iterdir())) == before


def test_the_reason_is_one_line_without_the_path(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="away") as caught:
        open_regular(tmp_path / "away")
    assert reason_of(caught.value) == "No such file or directory"
    assert reason_of(KeyError("no\nkey")) == "no key"
    assert reason_of(ValueError()) == "ValueError()"
    error = pickle.loads(pickle.dumps(UnsuitableFileError("it is odd")))  # as from a worker
    assert reason_of(error) == str(error) == "it is odd"
