"""Archives are unpacked whatever their compression; damaged and hostile ones are refused."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from nsi_cli.data.download.unpack import (
    MIN_LIMIT,
    DamagedError,
    HostileError,
    check_python,
    extract,
)
from nsi_cli.plugins import Archive
from nsi_cli.support.errors import DataError, PluginError

ARCHIVE = Archive("http://away", "a.tar", r"\d+/s_\d+\.(json|png)", "scenes")
Members = Iterable[tuple[str | tarfile.TarInfo, bytes]]


def tar(members: Members, format: int = tarfile.PAX_FORMAT) -> bytes:
    """The bytes of an archive; a member is a name, or a header with whatever kind it has."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as opened:
        for said, data in members:
            info = said if isinstance(said, tarfile.TarInfo) else tarfile.TarInfo(said)
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


class Place:
    """A raw folder in a folder of its own, to see that nothing is written beside it."""

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
        around = [path for path in self.folder.rglob("*") if not path.is_relative_to(self.raw)]
        assert sorted(path.name for path in around) == ["a.tar", "data", "secret"]
        assert (self.folder / "secret").read_text() == "precious"
        assert self.files.keys() <= WANTED.keys()
        assert not any(path.is_symlink() for path in self.raw.rglob("*"))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_compression_is_told_from_the_content(
    compress: Callable[[bytes], bytes], format: int, place: Place
) -> None:
    assert place(compress(tar(SCENES, format))) == len(WANTED)
    assert place.files == WANTED


def test_several_archives_merge_into_one_folder(place: Place) -> None:
    for prefix in ("part1/", "./part2/deep/", ""):
        place(tar([(f"{prefix}0/s_{len(prefix)}.json", b"{}")]))
    assert place.files == dict.fromkeys(
        ["scenes/0/s_6.json", "scenes/0/s_13.json", "scenes/0/s_0.json"], b"{}"
    )


def test_an_interrupted_extraction_is_done_again(place: Place) -> None:
    """Whatever is there is replaced, and what a killed one left beside it goes."""
    data = gzip.compress(tar(SCENES))
    place(data)
    there = sorted(place.raw.rglob("*.json"))
    there[0].write_bytes(b"half")
    there[1].write_bytes(bytes(there[1].stat().st_size))
    there[2].unlink()
    (there[0].parent / ".unpacking").write_bytes(b"of one that was killed")
    assert place(data) == len(WANTED)
    assert place.files == WANTED


def test_progress_is_that_of_the_archive(place: Place) -> None:
    result: list[int] = []
    place.path.write_bytes(gzip.compress(tar(SCENES)))
    extract(place.path, ARCHIVE, place.raw, advance=lambda count, told_="": result.append(count))
    assert sum(result) == place.path.stat().st_size


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.97])
def test_an_archive_that_is_cut_short_is_told(
    share: float, compress: Callable[[bytes], bytes], place: Place
) -> None:
    data = compress(tar(SCENES).rstrip(b"\0") + bytes(1024))
    place.refuses(data[: int(len(data) * share)], DamagedError, "is damaged")


def test_one_that_is_cut_between_two_members_is_told(place: Place) -> None:
    data = tar(SCENES[:2])
    place.refuses(data[: data.rindex(b"s_0.png ") + 512 & ~511], DamagedError, "truncated")


def test_garbled_bytes_are_told(place: Place) -> None:
    data = bytearray(gzip.compress(tar(SCENES)))
    data[len(data) // 2] ^= 0xFF
    place.refuses(bytes(data), DamagedError, "is damaged")
    plain = bytearray(tar(SCENES))
    plain[plain.index(b"v1/scenes/0/s_2.png")] ^= 0xFF
    place.refuses(bytes(plain), DamagedError, "truncated")


NO_ARCHIVES = {
    "empty": b"",
    "page": b"<html>no such page</html>" * 99,
    "compressed": gzip.compress(b"hello"),
}


@pytest.mark.parametrize("data", NO_ARCHIVES.values(), ids=NO_ARCHIVES)
def test_what_is_no_archive_is_told(data: bytes, place: Place) -> None:
    place.refuses(data, DamagedError, "not a tar archive")


def test_an_archive_of_something_else_is_told(place: Place) -> None:
    place.refuses(tar([("holiday.png", b"sun")]), DataError, "none of the files of scenes")


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
@pytest.mark.parametrize(
    "garbage", [b"x", bytes(5000) + b"x" * 5000, bytes(200_000) + b"x", tar(SCENES)]
)
def test_data_after_the_end_is_refused(
    garbage: bytes, compress: Callable[[bytes], bytes], place: Place
) -> None:
    place.refuses(compress(tar(SCENES) + garbage), DamagedError, "other data follows its end")


def test_data_after_compressed_data_is_refused(place: Place) -> None:
    place.refuses(gzip.compress(tar(SCENES)) + b"garbage", DamagedError, "is damaged")


def test_compressed_data_in_several_parts_are_one_archive(place: Place) -> None:
    data = tar(SCENES)
    half = len(data) // 2
    assert place(gzip.compress(data[:half]) + gzip.compress(data[half:])) == len(WANTED)
    assert place.files == WANTED


@pytest.mark.parametrize("name", ["../0/s_9.json", "0/../../../s_9.json", "..", "a/../../x"])
def test_names_that_lead_outside_are_refused(name: str, place: Place) -> None:
    place.refuses(tar([*SCENES, (name, b"{}")]), HostileError, "outside the destination")


@pytest.mark.parametrize("name", ["v1/../0/s_9.json", "v1\\..\\/0/s_9.json", "C:/0/s_9.json"])
def test_what_stands_before_the_wanted_parts_of_a_name_has_no_effect(
    name: str, place: Place
) -> None:
    place(tar([(name, b"{}")]))
    assert place.files == {"scenes/0/s_9.json": b"{}"}


def test_a_pattern_that_lets_dots_through_leads_nowhere(place: Place) -> None:
    """The plugin's pattern is applied to names that were checked; so is what it makes of them."""
    place.path.write_bytes(tar([("v1/a/../c.json", b"{}")]))
    with pytest.raises(HostileError, match="outside the destination"):
        extract(place.path, Archive("http://away", "a.tar", r"[^/]+/c\.json"), place.raw)
    assert not (place.raw.parent / "c.json").exists()


@pytest.mark.parametrize("name", ["/0/s_9.json", "//0/s_9.json", "/elsewhere"])
def test_absolute_names_are_refused(name: str, place: Place) -> None:
    place.refuses(tar([*SCENES, (name, b"{}")]), HostileError, "absolute path")


def test_a_name_cannot_speak_to_the_terminal(place: Place) -> None:
    place.refuses(tar([("../\x1b[2J\n\udcff", b"")]), HostileError, r"'../\x1b[2J\n\udcff'")


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
    target: str, kind: bytes, name: str, place: Place
) -> None:
    data = tar([*SCENES, (special(kind, name, target), b"")])
    place.refuses(data, HostileError, name)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_a_link_within_the_folder_is_refused_in_place_of_a_file(kind: bytes, place: Place) -> None:
    link = special(kind, link="v1/scenes/0/s_1.json")
    place.refuses(tar([*SCENES, (link, b"")]), HostileError, "is not a regular file")


def test_nothing_is_written_through_a_link_of_the_archive(place: Place) -> None:
    out = special(tarfile.SYMTYPE, "v1/scenes/1", "../../..")
    place.refuses(tar([(out, b""), ("v1/scenes/1/s_1.json", b"{}")]), HostileError, "outside")
    assert place.files == {}


def test_a_name_too_long_for_the_disk_leaves_nothing(place: Place) -> None:
    with pytest.raises((HostileError, OSError)):
        place(tar([*SCENES, (f"0/s_{'9' * 300}.json", b"{}")]))
    assert place.files == WANTED


def test_a_sparse_file_is_refused(place: Place) -> None:
    info = special(tarfile.REGTYPE)
    info.pax_headers = {"GNU.sparse.map": "0,1", "GNU.sparse.size": str(10**13)}
    place.refuses(tar([*SCENES, (info, b"1")]), HostileError, "not a regular file")


def declared(size: int, name: str = "v1/scenes/0/s_9.json") -> bytes:
    """A header that declares a size, and no data."""
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_a_member_too_large_for_its_archive_is_refused_before_it_is_written(
    compress: Callable[[bytes], bytes], place: Place
) -> None:
    place.refuses(compress(declared(10**12)), HostileError, "unpack to more than 64.0 MB")
    assert place.files == {}


def test_a_bomb_is_refused_when_too_much_has_come(place: Place) -> None:
    """Zeros that no build wants are not written, but must not be read for ever either."""
    zeros = declared(2 * MIN_LIMIT, "v1/large.bin") + bytes(2 * MIN_LIMIT)
    place.refuses(gzip.compress(zeros), HostileError, "unpack to more than 64.0 MB")


@pytest.mark.slow
def test_too_many_members_are_refused(place: Place) -> None:
    headers = b"".join(declared(0, f"v1/{number}") for number in range(10_500))
    place.refuses(gzip.compress(headers), HostileError, "members")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
@pytest.mark.parametrize("first", [b"", declared(0, "v1/1")])
def test_a_header_that_fills_the_memory_is_refused(first: bytes, kind: bytes, place: Place) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, 10**12
    data = first + info.tobuf(tarfile.GNU_FORMAT) + bytes(3_000_000)
    place.refuses(gzip.compress(data), HostileError, "headers of more than 1.0 MB")


def test_headers_without_end_are_refused(place: Place) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 512
    one = info.tobuf(tarfile.GNU_FORMAT) + b"12 path=abcd".ljust(512, b"\0")
    place.refuses(gzip.compress(one * 5000), DataError, "archive")


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_negative_sizes_are_refused(kind: bytes, place: Place) -> None:
    header = bytearray(declared(0))
    header[124:136] = b"\xff" * 10 + (-1024 & 0xFFFF).to_bytes(2, "big")
    header[156:157] = kind
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    place.refuses(bytes(header) + bytes(4096), DataError, "archive")


def test_a_link_where_a_file_belongs_is_replaced(place: Place) -> None:
    """What it points to stays as it is."""
    (place.raw / "scenes" / "0").mkdir(parents=True)
    (place.raw / "scenes" / "0" / "s_0.json").symlink_to(place.folder / "secret")
    place(tar(SCENES))
    assert place.files == WANTED
    assert (place.folder / "secret").read_text() == "precious"


def test_the_folder_may_be_a_link_to_another_disk(place: Place) -> None:
    (place.folder / "disk").mkdir()
    (place.raw / "scenes").symlink_to(place.folder / "disk")
    place(tar(SCENES))
    assert (place.folder / "disk" / "0" / "s_0.json").read_bytes() == WANTED["scenes/0/s_0.json"]


def test_a_folder_inside_that_leads_outside_is_refused(place: Place) -> None:
    (place.raw / "scenes").mkdir()
    (place.raw / "scenes" / "0").symlink_to(place.folder)
    with pytest.raises(HostileError, match="outside the destination"):
        place(tar(SCENES))
    assert not (place.folder / "s_0.json").exists()


def test_a_python_without_the_filters_of_tarfile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(tarfile, "data_filter")
    with pytest.raises(DataError, match="cannot unpack untrusted archives safely"):
        check_python()


@pytest.mark.parametrize(
    "changes", [{"name": "../a.tar"}, {"name": ".lock"}, {"folder": "../x"}, {"folder": "/x"},
                {"wanted": "("}]
)  # fmt: skip
def test_an_archive_that_a_plugin_describes_wrongly(changes: dict[str, str]) -> None:
    with pytest.raises(PluginError):
        Archive(**{"base": "http://away", "name": "a.tar", "wanted": "x", **changes})
