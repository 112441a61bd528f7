"""Unpacking archives of every compression, and refusing damaged and hostile ones."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from nsi_cli.data.download.archive_errors import MIN_LIMIT, DamagedError, HostileError
from nsi_cli.data.download.unpack import check_python, extract
from nsi_cli.plugins import Archive
from nsi_cli.support.errors import DataError, PluginError

ARCHIVE = Archive("http://away", "a.tar", r"\d+/s_\d+\.(json|png)", "scenes")
Members = Iterable[tuple[str | tarfile.TarInfo, bytes]]


def tar(members: Members, format: int = tarfile.PAX_FORMAT) -> bytes:
    """The bytes of an archive; a member is a name or a header of any type."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as opened:
        for member, data in members:
            info = member if isinstance(member, tarfile.TarInfo) else tarfile.TarInfo(member)
            if info.isreg():
                info.size = len(data)
            opened.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


SCENES: list[tuple[str, bytes]] = [
    (name, f"{name} ".encode() * 400)
    for i in range(6)
    for name in (
        f"v1/scenes/0/s_{i}.json",
        f"v1/scenes/0/s_{i}.png",
        f"v1/scenes/0/s_{i}_depth.png",
    )
]
WANTED = {
    name.removeprefix("v1/"): data for name, data in SCENES if not name.endswith("_depth.png")
}


class Unpacker:
    """Unpacks into a raw folder, and checks that nothing is written outside it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.raw, self.path = folder, folder / "data" / "raw", folder / "a.tar"
        self.raw.mkdir(parents=True)
        (folder / "secret").write_text("precious")

    def __call__(self, data: bytes) -> int:
        self.path.write_bytes(data)
        return extract(self.path, ARCHIVE, self.raw)

    @property
    def files(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.raw)): path.read_bytes()
            for path in self.raw.rglob("*")
            if path.is_file()
        }

    def refuses(self, data: bytes, kind: type[DataError], *words: str) -> None:
        with pytest.raises(kind) as caught:
            self(data)
        result = caught.value.message
        for word in words:
            assert word in result, result
        assert "\n" not in result
        assert len(result) < 500
        assert caught.value.hint
        outside = [path for path in self.folder.rglob("*") if not path.is_relative_to(self.raw)]
        assert sorted(path.name for path in outside) == ["a.tar", "data", "secret"]
        assert (self.folder / "secret").read_text() == "precious"
        assert self.files.keys() <= WANTED.keys()
        assert not any(path.is_symlink() for path in self.raw.rglob("*"))


@pytest.fixture
def unpacker(tmp_path: Path) -> Unpacker:
    return Unpacker(tmp_path)


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_the_compression_is_detected_from_the_content(
    compress: Callable[[bytes], bytes], format: int, unpacker: Unpacker
) -> None:
    assert unpacker(compress(tar(SCENES, format))) == len(WANTED)
    assert unpacker.files == WANTED


def test_several_archives_merge_into_one_folder(unpacker: Unpacker) -> None:
    for prefix in ("part1/", "./part2/deep/", ""):
        unpacker(tar([(f"{prefix}0/s_{len(prefix)}.json", b"{}")]))
    assert unpacker.files == dict.fromkeys(
        ["scenes/0/s_6.json", "scenes/0/s_13.json", "scenes/0/s_0.json"], b"{}"
    )


def test_an_interrupted_extraction_is_repeated(unpacker: Unpacker) -> None:
    """Existing files are replaced, and the temporary file of a killed process is removed."""
    data = gzip.compress(tar(SCENES))
    unpacker(data)
    files = sorted(unpacker.raw.rglob("*.json"))
    files[0].write_bytes(b"half")
    files[1].write_bytes(bytes(files[1].stat().st_size))
    files[2].unlink()
    (files[0].parent / ".unpacking").write_bytes(b"from a killed process")
    assert unpacker(data) == len(WANTED)
    assert unpacker.files == WANTED


def test_progress_counts_the_bytes_of_the_archive(unpacker: Unpacker) -> None:
    result: list[int] = []
    unpacker.path.write_bytes(gzip.compress(tar(SCENES)))
    extract(
        unpacker.path, ARCHIVE, unpacker.raw, advance=lambda count, text="": result.append(count)
    )
    assert sum(result) == unpacker.path.stat().st_size


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.97])
def test_a_truncated_archive_is_refused(
    share: float, compress: Callable[[bytes], bytes], unpacker: Unpacker
) -> None:
    data = compress(tar(SCENES).rstrip(b"\0") + bytes(1024))
    unpacker.refuses(data[: int(len(data) * share)], DamagedError, "is damaged")


def test_an_archive_truncated_between_two_members_is_refused(unpacker: Unpacker) -> None:
    data = tar(SCENES[:2])
    unpacker.refuses(data[: data.rindex(b"s_0.png ") + 512 & ~511], DamagedError, "truncated")


def test_corrupt_bytes_are_refused(unpacker: Unpacker) -> None:
    data = bytearray(gzip.compress(tar(SCENES)))
    data[len(data) // 2] ^= 0xFF
    unpacker.refuses(bytes(data), DamagedError, "is damaged")
    plain = bytearray(tar(SCENES))
    plain[plain.index(b"v1/scenes/0/s_2.png")] ^= 0xFF
    unpacker.refuses(bytes(plain), DamagedError, "truncated")


NO_ARCHIVES = {
    "empty": b"",
    "page": b"<html>no such page</html>" * 99,
    "compressed": gzip.compress(b"hello"),
}


@pytest.mark.parametrize("data", NO_ARCHIVES.values(), ids=NO_ARCHIVES)
def test_a_file_that_is_no_archive_is_refused(data: bytes, unpacker: Unpacker) -> None:
    unpacker.refuses(data, DamagedError, "not a tar or zip archive")


def test_an_archive_without_wanted_members_is_an_error(unpacker: Unpacker) -> None:
    unpacker.refuses(tar([("holiday.png", b"sun")]), DataError, "none of the files of scenes")


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
@pytest.mark.parametrize(
    "garbage", [b"x", bytes(5000) + b"x" * 5000, bytes(200_000) + b"x", tar(SCENES)]
)
def test_data_after_the_end_is_refused(
    garbage: bytes, compress: Callable[[bytes], bytes], unpacker: Unpacker
) -> None:
    unpacker.refuses(compress(tar(SCENES) + garbage), DamagedError, "other data follows its end")


def test_data_after_compressed_data_is_refused(unpacker: Unpacker) -> None:
    unpacker.refuses(gzip.compress(tar(SCENES)) + b"garbage", DamagedError, "is damaged")


def test_compressed_data_in_several_parts_are_one_archive(unpacker: Unpacker) -> None:
    data = tar(SCENES)
    half = len(data) // 2
    assert unpacker(gzip.compress(data[:half]) + gzip.compress(data[half:])) == len(WANTED)
    assert unpacker.files == WANTED


@pytest.mark.parametrize("name", ["../0/s_9.json", "0/../../../s_9.json", "..", "a/../../x"])
def test_paths_outside_the_folder_are_refused(name: str, unpacker: Unpacker) -> None:
    unpacker.refuses(tar([*SCENES, (name, b"{}")]), HostileError, "outside the destination")


@pytest.mark.parametrize("name", ["v1/../0/s_9.json", "v1\\..\\/0/s_9.json", "C:/0/s_9.json"])
def test_folders_before_the_wanted_part_of_a_name_are_dropped(
    name: str, unpacker: Unpacker
) -> None:
    unpacker(tar([(name, b"{}")]))
    assert unpacker.files == {"scenes/0/s_9.json": b"{}"}


def test_a_pattern_that_matches_dots_cannot_leave_the_folder(unpacker: Unpacker) -> None:
    """The name is checked before the plugin's pattern is applied, and the result after it."""
    unpacker.path.write_bytes(tar([("v1/a/../c.json", b"{}")]))
    with pytest.raises(HostileError, match="outside the destination"):
        extract(unpacker.path, Archive("http://away", "a.tar", r"[^/]+/c\.json"), unpacker.raw)
    assert not (unpacker.raw.parent / "c.json").exists()


@pytest.mark.parametrize("name", ["/0/s_9.json", "//0/s_9.json", "/elsewhere"])
def test_absolute_names_are_refused(name: str, unpacker: Unpacker) -> None:
    unpacker.refuses(tar([*SCENES, (name, b"{}")]), HostileError, "absolute path")


def test_control_characters_in_a_name_are_escaped(unpacker: Unpacker) -> None:
    unpacker.refuses(tar([("../\x1b[2J\n\udcff", b"")]), HostileError, r"'../\x1b[2J\n\udcff'")


def special(kind: bytes, name: str = "v1/scenes/0/s_9.json", link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"Q"],
)
@pytest.mark.parametrize("name", ["v1/scenes/0/s_9.json", "somewhere/else"])
@pytest.mark.parametrize("target", ["../../../../secret", "/etc/hostname"])
def test_links_out_of_the_folder_and_devices_are_refused(
    target: str, kind: bytes, name: str, unpacker: Unpacker
) -> None:
    data = tar([*SCENES, (special(kind, name, target), b"")])
    unpacker.refuses(data, HostileError, name)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_a_link_within_the_folder_is_refused_as_a_wanted_file(
    kind: bytes, unpacker: Unpacker
) -> None:
    link = special(kind, link="v1/scenes/0/s_1.json")
    unpacker.refuses(tar([*SCENES, (link, b"")]), HostileError, "is not a regular file")


def test_nothing_is_written_through_a_link_of_the_archive(unpacker: Unpacker) -> None:
    out = special(tarfile.SYMTYPE, "v1/scenes/1", "../../..")
    unpacker.refuses(tar([(out, b""), ("v1/scenes/1/s_1.json", b"{}")]), HostileError, "outside")
    assert unpacker.files == {}


def test_a_name_too_long_for_the_disk_leaves_nothing(unpacker: Unpacker) -> None:
    with pytest.raises((HostileError, OSError)):
        unpacker(tar([*SCENES, (f"0/s_{'9' * 300}.json", b"{}")]))
    assert unpacker.files == WANTED


def test_a_sparse_file_is_refused(unpacker: Unpacker) -> None:
    info = special(tarfile.REGTYPE)
    info.pax_headers = {"GNU.sparse.map": "0,1", "GNU.sparse.size": str(10**13)}
    unpacker.refuses(tar([*SCENES, (info, b"1")]), HostileError, "not a regular file")


def declared(size: int, name: str = "v1/scenes/0/s_9.json") -> bytes:
    """A header that declares a size, and no data."""
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_a_member_too_large_for_its_archive_is_refused_before_it_is_written(
    compress: Callable[[bytes], bytes], unpacker: Unpacker
) -> None:
    unpacker.refuses(compress(declared(10**12)), HostileError, "unpack to more than 64.0 MB")
    assert unpacker.files == {}


@pytest.mark.slow
def test_a_bomb_is_refused_after_too_many_bytes(unpacker: Unpacker) -> None:
    """An unwanted member is not written, but it must not be read forever either."""
    zeros = declared(2 * MIN_LIMIT, "v1/large.bin") + bytes(2 * MIN_LIMIT)
    unpacker.refuses(gzip.compress(zeros), HostileError, "unpack to more than 64.0 MB")


@pytest.mark.slow
def test_too_many_members_are_refused(unpacker: Unpacker) -> None:
    headers = b"".join(declared(0, f"v1/{number}") for number in range(10_500))
    unpacker.refuses(gzip.compress(headers), HostileError, "members")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
@pytest.mark.parametrize("first", [b"", declared(0, "v1/1")])
def test_a_header_that_fills_the_memory_is_refused(
    first: bytes, kind: bytes, unpacker: Unpacker
) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, 10**12
    data = first + info.tobuf(tarfile.GNU_FORMAT) + bytes(3_000_000)
    unpacker.refuses(gzip.compress(data), HostileError, "headers of more than 1.0 MB")


def test_endless_headers_are_refused(unpacker: Unpacker) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 512
    block = info.tobuf(tarfile.GNU_FORMAT) + b"12 path=abcd".ljust(512, b"\0")
    unpacker.refuses(gzip.compress(block * 5000), DataError, "archive")


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_negative_sizes_are_refused(kind: bytes, unpacker: Unpacker) -> None:
    header = bytearray(declared(0))
    header[124:136] = b"\xff" * 10 + (-1024 & 0xFFFF).to_bytes(2, "big")
    header[156:157] = kind
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    unpacker.refuses(bytes(header) + bytes(4096), DataError, "archive")


def test_an_existing_link_at_a_file_s_path_is_replaced(unpacker: Unpacker) -> None:
    """The file that it points to is unchanged."""
    (unpacker.raw / "scenes" / "0").mkdir(parents=True)
    (unpacker.raw / "scenes" / "0" / "s_0.json").symlink_to(unpacker.folder / "secret")
    unpacker(tar(SCENES))
    assert unpacker.files == WANTED
    assert (unpacker.folder / "secret").read_text() == "precious"


def test_the_folder_may_be_a_link_to_another_disk(unpacker: Unpacker) -> None:
    (unpacker.folder / "disk").mkdir()
    (unpacker.raw / "scenes").symlink_to(unpacker.folder / "disk")
    unpacker(tar(SCENES))
    assert (unpacker.folder / "disk" / "0" / "s_0.json").read_bytes() == WANTED["scenes/0/s_0.json"]


def test_a_linked_subfolder_that_leads_outside_is_refused(unpacker: Unpacker) -> None:
    (unpacker.raw / "scenes").mkdir()
    (unpacker.raw / "scenes" / "0").symlink_to(unpacker.folder)
    with pytest.raises(HostileError, match="outside the destination"):
        unpacker(tar(SCENES))
    assert not (unpacker.folder / "s_0.json").exists()


def test_a_python_without_the_filters_of_tarfile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(tarfile, "data_filter")
    with pytest.raises(DataError, match="cannot unpack untrusted archives safely"):
        check_python()


@pytest.mark.parametrize(
    "changes", [{"name": "../a.tar"}, {"name": ".lock"}, {"folder": "../x"}, {"folder": "/x"},
                {"wanted": "("}]
)  # fmt: skip
def test_an_invalid_archive_description_is_an_error(changes: dict[str, str]) -> None:
    with pytest.raises(PluginError):
        Archive(**{"base": "http://away", "name": "a.tar", "wanted": "x", **changes})
