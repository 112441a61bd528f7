"""Archives are unpacked whatever compresses them; those that mean harm are refused."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from nsi_cli.data.extract import Extracted, extract
from nsi_cli.data.tar_bytes import LEAST_LIMIT, DamagedError, HostileError
from nsi_cli.errors import DataError, PluginError
from nsi_cli.plugins import Archive

ARCHIVE = Archive(
    "http://away", "a.tar", r"\d+/s_\d+\.(json|png)", r"\d+/s_\d+_depth\.png", "scenes"
)
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

    def __call__(self, data: bytes, *, all_files: bool = False) -> Extracted:
        self.path.write_bytes(data)
        return extract(self.path, ARCHIVE, self.raw, all_files=all_files)

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
        told = caught.value.message
        for word in words:
            assert word in told, told
        assert "\n" not in told
        assert len(told) < 500
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
    done = place(compress(tar(SCENES, format)))
    assert place.files == WANTED
    assert (done.written, done.there_already, done.left_out) == (12, 0, 6)


def test_all_files_are_written_when_asked_for(place: Place) -> None:
    place(tar([*SCENES, ("v1/scenes/readme.txt", b"unknown to the plugin")]), all_files=True)
    assert place.files == {name.removeprefix("v1/"): data for name, data in SCENES}


def test_several_archives_merge_into_one_folder(place: Place) -> None:
    for prefix in ("part1/", "./part2/deep/", ""):
        place(tar([(f"{prefix}0/s_{len(prefix)}.json", b"{}")]))
    assert place.files == dict.fromkeys(
        ["scenes/0/s_6.json", "scenes/0/s_13.json", "scenes/0/s_0.json"], b"{}"
    )


def test_what_is_there_with_the_right_size_is_passed_over(place: Place) -> None:
    data = gzip.compress(tar(SCENES))
    place(data)
    there = sorted(place.raw.rglob("*.json"))
    times = {path: path.stat().st_mtime_ns for path in there[1:]}
    there[0].write_bytes(b"half")
    (there[0].parent / ".s_3.png.part").write_bytes(b"of one that was killed")
    (there[0].parent / "s_3.png").unlink()
    done = place(data)
    assert (done.written, done.there_already) == (2, 10)
    assert place.files == WANTED
    assert {path: path.stat().st_mtime_ns for path in there[1:]} == times


def test_progress_is_that_of_the_archive(place: Place) -> None:
    told: list[int] = []
    place.path.write_bytes(gzip.compress(tar(SCENES)))
    extract(place.path, ARCHIVE, place.raw, advance=lambda count, told_="": told.append(count))
    assert sum(told) == place.path.stat().st_size


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.97])
def test_an_archive_that_is_cut_short_is_told(
    share: float, compress: Callable[[bytes], bytes], place: Place
) -> None:
    data = compress(tar(SCENES).rstrip(b"\0") + bytes(1024))
    place.refuses(data[: int(len(data) * share)], DamagedError, "is damaged")


def test_one_that_is_cut_between_two_members_is_told(place: Place) -> None:
    data = tar(SCENES[:2])
    place.refuses(data[: data.rindex(b"s_0.png ") + 512 & ~511], DamagedError, "cut short")


def test_garbled_bytes_are_told(place: Place) -> None:
    data = bytearray(gzip.compress(tar(SCENES)))
    data[len(data) // 2] ^= 0xFF
    place.refuses(bytes(data), DamagedError, "is damaged")
    plain = bytearray(tar(SCENES))
    plain[plain.index(b"v1/scenes/0/s_2.png")] ^= 0xFF
    place.refuses(bytes(plain), DamagedError, "cut short")


@pytest.mark.parametrize("data", [b"", b"<html>no such page</html>" * 99, gzip.compress(b"hello")])
def test_what_is_no_archive_is_told(data: bytes, place: Place) -> None:
    place.refuses(data, DamagedError, "no tar archive")


def test_an_archive_of_something_else_is_told(place: Place) -> None:
    place.refuses(tar([("holiday.png", b"sun")]), DataError, "none of the files of scenes")


@pytest.mark.parametrize(
    "name",
    ["../0/s_9.json", "0/../../../s_9.json", "v1/../0/s_9.json", "..", "v1\\..\\0/s_9.json"],
)
def test_names_that_lead_outside_are_refused(name: str, place: Place) -> None:
    place.refuses(tar([*SCENES, (name, b"{}")]), HostileError, "leads out of its folder")


@pytest.mark.parametrize("name", ["/0/s_9.json", "//0/s_9.json", "C:/0/s_9.json", "\\0\\s_9.json"])
def test_absolute_names_are_refused(name: str, place: Place) -> None:
    place.refuses(tar([*SCENES, (name, b"{}")]), HostileError, "absolute name")


def test_a_name_cannot_speak_to_the_terminal(place: Place) -> None:
    place.refuses(tar([("../\x1b[2J\n\udcff", b"")]), HostileError, r"'../\x1b[2J\n\udcff'")


def special(kind: bytes, name: str = "v1/scenes/0/s_9.json", link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (tarfile.SYMTYPE, "a symbolic link"),
        (tarfile.LNKTYPE, "a hard link"),
        (tarfile.CHRTYPE, "a device"),
        (tarfile.BLKTYPE, "a device"),
        (tarfile.FIFOTYPE, "a named pipe"),
        (b"Q", "of unknown kind"),
    ],
)
@pytest.mark.parametrize("name", ["v1/scenes/0/s_9.json", "somewhere/else"])
def test_what_is_no_plain_file_is_refused(kind: bytes, told: str, name: str, place: Place) -> None:
    data = tar([*SCENES, (special(kind, name, "../../secret"), b"")])
    place.refuses(data, HostileError, told, name)


def test_nothing_is_written_through_a_link_of_the_archive(place: Place) -> None:
    out = special(tarfile.SYMTYPE, "v1/scenes/1", "../../..")
    place.refuses(tar([(out, b""), ("v1/scenes/1/s_1.json", b"{}")]), HostileError, "symbolic link")
    assert place.files == {}


def test_two_members_of_one_name_are_refused(place: Place) -> None:
    again = ("other/0/s_1.json", b"{}")
    place.refuses(tar([*SCENES, again]), HostileError, "'other/0/s_1.json' twice")


@pytest.mark.parametrize("name", ["v1/" + 201 * "x", "x/" * 501 + "0/s_9.json"])
def test_over_long_names_are_refused(name: str, place: Place) -> None:
    place.refuses(tar([*SCENES, (name, b"")]), HostileError, "over-long name")


def test_a_sparse_file_is_refused(place: Place) -> None:
    info = special(tarfile.REGTYPE)
    info.pax_headers = {"GNU.sparse.map": "0,1", "GNU.sparse.size": str(10**13)}
    place.refuses(tar([*SCENES, (info, b"1")]), HostileError, "a sparse file")


def declared(size: int, name: str = "v1/scenes/0/s_9.json") -> bytes:
    """A header that declares a size, and no data."""
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_a_member_too_large_for_its_archive_is_refused_before_it_is_written(
    compress: Callable[[bytes], bytes], place: Place
) -> None:
    place.refuses(compress(declared(10**12)), HostileError, "1.0 TB", "a bomb?")
    assert place.files == {}


def test_a_bomb_is_refused_when_too_much_has_come(place: Place) -> None:
    """Zeros that no build wants are not written, but must not be read for ever either."""
    zeros = declared(2 * LEAST_LIMIT, "v1/large.bin") + bytes(2 * LEAST_LIMIT)
    place.refuses(gzip.compress(zeros), HostileError, "unpacks to more than 64.0 MB", "a bomb?")


def test_too_many_members_are_refused(place: Place) -> None:
    headers = b"".join(declared(0, f"v1/{number}") for number in range(10_500))
    place.refuses(gzip.compress(headers), HostileError, "members")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_that_fills_the_memory_is_refused(kind: bytes, place: Place) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, 10**12
    data = info.tobuf(tarfile.GNU_FORMAT) + bytes(3_000_000)
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


def test_a_folder_in_the_way_is_no_reason_to_follow_a_link(place: Place) -> None:
    """A link where a file belongs is replaced; what it points to stays as it is."""
    (place.raw / "scenes" / "0").mkdir(parents=True)
    (place.raw / "scenes" / "0" / "s_0.json").symlink_to(place.folder / "secret")
    place(tar(SCENES))
    assert place.files == WANTED
    assert (place.folder / "secret").read_text() == "precious"


@pytest.mark.parametrize(
    "changes", [{"name": "../a.tar"}, {"name": ".lock"}, {"folder": "../x"}, {"folder": "/x"},
                {"wanted": "("}]
)  # fmt: skip
def test_an_archive_that_a_plugin_describes_wrongly(changes: dict[str, str]) -> None:
    with pytest.raises(PluginError):
        Archive(**{"base": "http://away", "name": "a.tar", "wanted": "x", **changes})
