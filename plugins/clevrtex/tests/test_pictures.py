"""Pictures are read by value, whole or not at all."""

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
    made = make_raw()
    made.scene(0, mode=mode)
    np.testing.assert_array_equal(read_image(made.image(0)), made.pixels(0))


@pytest.mark.parametrize("bits", [4, 8])
def test_a_mask_is_read_by_value_whatever_its_colours(make_raw, boxes, bits: int) -> None:
    made = make_raw()
    made.scene(0, 10)
    made.write_mask(0, boxes(10), bits=bits)
    np.testing.assert_array_equal(read_mask(made.mask(0)), boxes(10))
    by_colour = np.asarray(Image.open(made.mask(0)).convert("L"))
    assert set(np.unique(by_colour)) == set(range(11))  # so that reading it so would go unnoticed
    assert (by_colour != boxes(10)).any()


def test_plain_values_are_values(make_raw, boxes) -> None:
    made = make_raw()
    made.scene(0)
    Image.fromarray(boxes(3)).save(made.mask(0))
    np.testing.assert_array_equal(read_mask(made.mask(0)), boxes(3))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "1", "I;16"])
def test_a_mask_without_values_is_refused(make_raw, boxes, mode: str) -> None:
    made = make_raw()
    made.scene(0)
    picture = Image.fromarray(boxes(3))
    if mode == "I;16":
        picture = Image.fromarray(boxes(3).astype(np.uint16))
    else:
        picture = picture.convert(mode)
    picture.save(made.mask(0))
    with pytest.raises(DataError, match=r"a mask of mode .* not one of palette values"):
        read_mask(made.mask(0))


@pytest.mark.parametrize("mode", ["P", "L"])
def test_an_image_without_colours_is_refused(make_raw, mode: str) -> None:
    made = make_raw()
    made.scene(0, mode="RGB")
    made.write_image(0, mode)
    with pytest.raises(DataError, match=f"an image of mode {mode}, not RGB"):
        read_image(made.image(0))


def test_another_frame_size_is_refused(make_raw) -> None:
    made = make_raw()
    made.scene(0)
    made.write_mask(0, np.zeros((320, 240), np.uint8))
    with pytest.raises(DataError, match="240×320 pixels, not 320×240"):
        read_mask(made.mask(0))


def _flip(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def _chunk(kind: bytes, data: bytes) -> bytes:
    whole = kind + data
    return struct.pack(">I", len(data)) + whole + struct.pack(">I", zlib.crc32(whole))


def _short_of_rows(data: bytes) -> bytes:
    """A well-formed PNG whose compressed rows end too early."""
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


@pytest.mark.parametrize("how", CORRUPTIONS)
@pytest.mark.parametrize("which", ["image", "mask"])
def test_a_damaged_png_is_told_in_one_line(make_raw, which: str, how: str) -> None:
    made = make_raw()
    made.scene(0)
    path: Path = getattr(made, which)(0)
    path.write_bytes(CORRUPTIONS[how](path.read_bytes()))
    read = read_image if which == "image" else read_mask
    with pytest.raises(DataError, match=rf"^{path.name}: .*(not a whole PNG|pixels)") as caught:
        read(path)
    assert caught.value.hint
    assert "\n" not in caught.value.message
    assert str(path.parent) not in caught.value.message


def test_every_single_flipped_bit_of_the_pixels_is_noticed(make_raw) -> None:
    made = make_raw()
    made.scene(0, 2)
    data = made.mask(0).read_bytes()
    start = data.index(b"IDAT") + 4
    for place in range(start, data.index(b"IEND") - 4, 7):
        made.mask(0).write_bytes(_flip(data, place))
        with pytest.raises(DataError):
            read_mask(made.mask(0))


def test_a_missing_picture_is_told(make_raw) -> None:
    made = make_raw()
    made.scene(0)
    made.mask(0).unlink()
    with pytest.raises(DataError, match=r"CLEVRTEX_full_000000_flat\.png is missing"):
        read_mask(made.mask(0))
