"""Images and masks are read by value; damaged files are refused."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from nsi_clevrtex.pictures import read_image, read_mask
from PIL import Image

from nsi_cli.support.errors import DataError


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_an_alpha_channel_changes_nothing(make_raw, mode: str) -> None:
    writer = make_raw()
    writer.scene(0, mode=mode)
    np.testing.assert_array_equal(read_image(writer.image(0)), writer.pixels(0))


@pytest.mark.parametrize("bits", [4, 8])
def test_a_mask_is_read_by_value_not_by_colour(make_raw, boxes, bits: int) -> None:
    writer = make_raw()
    writer.scene(0, 10)
    writer.write_mask(0, boxes(10), bits=bits)
    np.testing.assert_array_equal(read_mask(writer.mask(0)), boxes(10))
    by_colour = np.asarray(Image.open(writer.mask(0)).convert("L"))
    assert set(np.unique(by_colour)) == set(
        range(11)
    )  # the same set, so that reading by colour would look valid
    assert (by_colour != boxes(10)).any()


def test_a_mask_may_be_grey_levels(make_raw, boxes) -> None:
    writer = make_raw()
    writer.scene(0)
    Image.fromarray(boxes(3)).save(writer.mask(0))
    np.testing.assert_array_equal(read_mask(writer.mask(0)), boxes(3))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "1", "I;16"])
def test_a_mask_without_values_is_refused(make_raw, boxes, mode: str) -> None:
    writer = make_raw()
    writer.scene(0)
    picture = Image.fromarray(boxes(3))
    if mode == "I;16":
        picture = Image.fromarray(boxes(3).astype(np.uint16))
    else:
        picture = picture.convert(mode)
    picture.save(writer.mask(0))
    with pytest.raises(DataError, match=r"a mask of mode .* has no palette values"):
        read_mask(writer.mask(0))


@pytest.mark.parametrize("mode", ["P", "L"])
def test_an_image_without_colours_is_refused(make_raw, mode: str) -> None:
    writer = make_raw()
    writer.scene(0, mode="RGB")
    writer.write_image(0, mode)
    with pytest.raises(DataError, match=f"an image of mode {mode}, not RGB"):
        read_image(writer.image(0))


def test_another_frame_size_is_refused(make_raw) -> None:
    writer = make_raw()
    writer.scene(0)
    writer.write_mask(0, np.zeros((320, 240), np.uint8))
    with pytest.raises(DataError, match="240×320 pixels, not 320×240"):
        read_mask(writer.mask(0))


def _flip(data: bytes, offset: int) -> bytes:
    return data[:offset] + bytes([data[offset] ^ 1]) + data[offset + 1 :]


def _chunk(kind: bytes, data: bytes) -> bytes:
    whole = kind + data
    return struct.pack(">I", len(data)) + whole + struct.pack(">I", zlib.crc32(whole))


def _short_of_rows(data: bytes) -> bytes:
    """Return a well-formed PNG with too few rows."""
    head = data[: data.index(b"IDAT") - 4]
    return head + _chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + _chunk(b"IEND", b"")


CORRUPTIONS = {
    "empty": lambda data: b"",
    "cut in its header": lambda data: data[:20],
    "cut in its pixels": lambda data: data[: len(data) // 2],
    "cut before its end": lambda data: data[:-12],
    "a bit flipped in its pixels": lambda data: _flip(data, data.index(b"IDAT") + 60),
    "a bit flipped near its end": lambda data: _flip(data, len(data) - 24),
    "a bit flipped in its header": lambda data: _flip(data, 19),
    "zeros": lambda data: b"\0" * len(data),
    "too few rows": _short_of_rows,
    "not a PNG": lambda data: b"GIF89a" + data,
}


@pytest.mark.parametrize("damage", CORRUPTIONS)
@pytest.mark.parametrize("kind", ["image", "mask"])
def test_a_damaged_png_is_a_one_line_error(make_raw, kind: str, damage: str) -> None:
    writer = make_raw()
    writer.scene(0)
    path: Path = getattr(writer, kind)(0)
    path.write_bytes(CORRUPTIONS[damage](path.read_bytes()))
    read = read_image if kind == "image" else read_mask
    reason = r"(: .*pixels| cannot be read as a PNG)"
    with pytest.raises(DataError, match=rf"^{path.name}{reason}") as caught:
        read(path)
    assert caught.value.hint
    assert "\n" not in caught.value.message
    assert str(path.parent) not in caught.value.message


def test_every_flipped_bit_of_the_pixels_is_detected(make_raw) -> None:
    writer = make_raw()
    writer.scene(0, 2)
    data = writer.mask(0).read_bytes()
    start = data.index(b"IDAT") + 4
    for offset in range(start, data.index(b"IEND") - 4, 7):
        writer.mask(0).write_bytes(_flip(data, offset))
        with pytest.raises(DataError):
            read_mask(writer.mask(0))


def test_a_missing_image_is_an_error(make_raw) -> None:
    writer = make_raw()
    writer.scene(0)
    writer.mask(0).unlink()
    with pytest.raises(DataError, match=r"CLEVRTEX_full_000000_flat\.png is missing"):
        read_mask(writer.mask(0))
