"""Unpacking the wanted members of zip archives, and refusing damaged and hostile ones."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from nsi_cli.data.download import unzip
from nsi_cli.data.download.archive_errors import DamagedError, HostileError
from nsi_cli.data.download.unpack import extract
from nsi_cli.plugins import Archive
from nsi_cli.support.errors import DataError

ARCHIVE = Archive("http://away", "a.zip", r"\d+/s_\d+\.(json|png)", "scenes")
SCENES = [
    (name, f"{name} ".encode() * 400)
    for i in range(6)
    for name in (f"v1/0/s_{i}.json", f"v1/0/s_{i}.png", f"v1/0/s_{i}_depth.png")
]
WANTED = {name.replace("v1/", "scenes/"): data for name, data in SCENES if "depth" not in name}
DEFLATED = zipfile.ZIP_DEFLATED
Members = Iterable[tuple[str | zipfile.ZipInfo, bytes]]


def pack(members: Members, method: int = DEFLATED) -> bytes:
    """The bytes of an archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as opened:
        for member, data in members:
            opened.writestr(member, data)
    return buffer.getvalue()


class Unpacker:
    """Unpacks into a raw folder, and checks that nothing is written outside it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.raw, self.path = folder, folder / "data" / "raw", folder / "a.zip"
        self.raw.mkdir(parents=True)

    def __call__(self, data: bytes) -> int:
        self.path.write_bytes(data)
        return extract(self.path, ARCHIVE, self.raw)

    @property
    def files(self) -> dict[str, bytes]:
        paths = [path for path in self.raw.rglob("*") if path.is_file()]
        return {str(path.relative_to(self.raw)): path.read_bytes() for path in paths}

    def refuses(self, data: bytes, kind: type[DataError], *words: str) -> None:
        with pytest.raises(kind) as caught:
            self(data)
        for word in words:
            assert word in caught.value.message
        assert "\n" not in caught.value.message
        assert caught.value.hint
        outside = [path for path in self.folder.rglob("*") if not path.is_relative_to(self.raw)]
        assert sorted(path.name for path in outside) == ["a.zip", "data"]
        assert self.files.items() <= WANTED.items()


@pytest.fixture
def unpacker(tmp_path: Path) -> Unpacker:
    return Unpacker(tmp_path)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, DEFLATED])
def test_the_wanted_members_are_written(method: int, unpacker: Unpacker) -> None:
    data = pack([("v1/", b""), *SCENES], method)
    assert unpacker(data) == len(WANTED)
    assert unpacker.files == WANTED
    unpacker(data)  # again, over the existing files
    assert unpacker.files == WANTED


def test_an_archive_of_more_than_four_gigabytes_uses_other_headers(
    unpacker: Unpacker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 100)
    data = pack(SCENES)
    assert b"PK\x06\x06" in data  # the end record of ZIP64
    unpacker(data)
    assert unpacker.files == WANTED


def test_progress_counts_the_bytes_of_the_archive(unpacker: Unpacker) -> None:
    result: list[int] = []
    unpacker.path.write_bytes(pack(SCENES))
    extract(unpacker.path, ARCHIVE, unpacker.raw, lambda count, text="": result.append(count))
    assert sum(result) == unpacker.path.stat().st_size


def test_an_archive_without_wanted_members_is_an_error(unpacker: Unpacker) -> None:
    unpacker.refuses(pack([("holiday.png", b"sun")]), DataError, "none of the files of scenes")
    unpacker.refuses(pack([]), DataError, "none of the files of scenes")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_archive_is_refused(share: float, unpacker: Unpacker) -> None:
    data = pack(SCENES)
    unpacker.refuses(data[: int(len(data) * share)], DamagedError, "list of members, at its end")
    assert unpacker.files == {}


def test_corrupt_bytes_are_refused_before_a_file_is_replaced(unpacker: Unpacker) -> None:
    data = bytearray(pack(SCENES, zipfile.ZIP_STORED))
    data[data.index(b"v1/0/s_2.png v1/") + 9] ^= 0xFF
    unpacker.refuses(bytes(data), DamagedError, "CRC-32")
    assert "scenes/0/s_2.png" not in unpacker.files


@pytest.mark.parametrize("offset", [0, 10, 26, 42])
def test_a_damaged_list_of_members_is_refused(offset: int, unpacker: Unpacker) -> None:
    data = bytearray(pack(SCENES))
    start = data.index(b"PK\x01\x02") + offset
    data[start : start + 4] = b"\xff\xff\xff\x7f"
    unpacker.refuses(bytes(data), DataError, "archive")


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("/0/s_9.json", "absolute path"),
        ("../0/s_9.json", "outside the destination"),
        ("v1/../../../0/s_9.json", "outside the destination"),
        ("/elsewhere", "absolute path"),
        ("../\x1b[2J\n", r"\x1b[2J\n"),
    ],
)
def test_names_that_lead_elsewhere_are_refused(name: str, word: str, unpacker: Unpacker) -> None:
    """They are refused even if they are not wanted, before anything is written."""
    unpacker.refuses(pack([*SCENES, (name, b"{}")]), HostileError, word)
    assert unpacker.files == {}


def test_a_pattern_that_matches_dots_cannot_leave_the_folder(unpacker: Unpacker) -> None:
    unpacker.path.write_bytes(pack([("v1/a/../c.json", b"{}")]))
    with pytest.raises(HostileError, match="outside the destination"):
        extract(unpacker.path, Archive("http://away", "a.zip", r"[^/]+/c\.json"), unpacker.raw)
    assert not (unpacker.raw.parent / "c.json").exists()


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_are_refused(kind: int, unpacker: Unpacker) -> None:
    member = zipfile.ZipInfo("v1/0/s_9.json")
    member.create_system, member.external_attr = 3, (kind | 0o644) << 16
    unpacker.refuses(pack([*SCENES, (member, b"/etc/hostname")]), HostileError, "regular file")
    assert unpacker.files == {}


def with_sizes(data: bytes, size: int) -> bytes:
    """The archive with other unpacked sizes in its list of members."""
    changed, start = bytearray(data), 0
    while (start := data.find(b"PK\x01\x02", start + 1)) >= 0:
        changed[start + 24 : start + 28] = struct.pack("<I", size)
    return bytes(changed)


def test_members_that_unpack_to_too_much_are_refused(unpacker: Unpacker) -> None:
    data = with_sizes(pack(SCENES), 20_000_000)
    unpacker.refuses(data, HostileError, "unpack to more than 64.0 MB")
    assert unpacker.files == {}


@pytest.mark.slow
def test_a_member_is_not_unpacked_beyond_its_stated_size(unpacker: Unpacker) -> None:
    zeros = pack([("v1/0/s_9.json", bytes(200_000_000))])
    unpacker.refuses(with_sizes(zeros, 1000), DamagedError, "CRC-32")
    assert unpacker.files == {}


def test_a_list_of_members_that_fills_the_memory_is_refused(
    unpacker: Unpacker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unzip, "MAX_READ", 100_000)
    data = pack([(f"v1/0/{number}", b"") for number in range(3000)])
    unpacker.refuses(data, HostileError, "a list of members of more than 100.0 kB")


@pytest.mark.parametrize(
    ("changes", "word"), [({8: b"\x01\x00"}, "encrypted"), ({10: b"\x0c\x00"}, "unusual method")]
)
def test_what_cannot_be_read_safely_says_so(
    changes: dict[int, bytes], word: str, unpacker: Unpacker
) -> None:
    data = bytearray(pack(SCENES))
    start = data.index(b"PK\x01\x02")
    for offset, value in changes.items():
        data[start + offset : start + offset + 2] = value
    unpacker.refuses(bytes(data), DataError, word)


def test_an_existing_link_at_a_file_s_path_is_replaced(unpacker: Unpacker) -> None:
    (unpacker.folder / "secret").write_text("precious")
    (unpacker.raw / "scenes" / "0").mkdir(parents=True)
    (unpacker.raw / "scenes" / "0" / "s_0.json").symlink_to(unpacker.folder / "secret")
    unpacker(pack(SCENES))
    assert unpacker.files == WANTED
    assert (unpacker.folder / "secret").read_text() == "precious"


def test_a_linked_subfolder_that_leads_outside_is_refused(unpacker: Unpacker) -> None:
    (unpacker.raw / "scenes").mkdir()
    (unpacker.raw / "scenes" / "0").symlink_to(unpacker.folder)
    with pytest.raises(HostileError, match="outside the destination"):
        unpacker(pack(SCENES))
    assert not (unpacker.folder / "s_0.json").exists()


def test_a_file_that_only_begins_like_a_zip_archive_is_damaged(unpacker: Unpacker) -> None:
    unpacker.refuses(b"PK\x03\x04" + bytes(500), DamagedError, "list of members")


def seeks_before_the_start(data: bytes) -> bytes:
    """The archive whose list of members is stated to be larger than the file."""
    end = data.index(b"PK\x05\x06")
    return data[: end + 12] + struct.pack("<I", 1 << 30) + data[end + 16 :]


def test_a_list_of_members_larger_than_the_file_is_damaged(unpacker: Unpacker) -> None:
    unpacker.refuses(seeks_before_the_start(pack(SCENES)), DamagedError, "list of members")
