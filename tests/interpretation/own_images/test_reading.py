"""Pictures of the user's own: each kind is read right, or is one line with a hint."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from nsi_cli.interpretation.own_images.reading import fitted, pixels_of, read_image
from nsi_cli.support.errors import DataError

RED, GREEN, WHITE = (255, 0, 0), (0, 255, 0), (255, 255, 255)


def refused(path: Path) -> DataError:
    """The error of a picture that is not read, which is one line with a hint."""
    with pytest.raises(DataError) as caught:
        read_image(path, 16)
    assert caught.value.message.startswith(f"{path} cannot be read as an image: ")
    assert "\n" not in caught.value.message
    assert "<_io" not in caught.value.message
    assert caught.value.hint
    return caught.value


def halves() -> Image.Image:
    """A picture that is red on the left and green on the right."""
    picture = Image.new("RGB", (32, 16), GREEN)
    picture.paste(RED, (0, 0, 16, 16))
    return picture


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "gif", "bmp", "tiff", "ppm"])
def test_a_picture_is_squashed_to_a_square(tmp_path: Path, suffix: str) -> None:
    halves().save(tmp_path / f"mine.{suffix}")
    image = read_image(tmp_path / f"mine.{suffix}", 16)
    assert image.shape == (16, 16, 3)
    np.testing.assert_allclose(image[8, [2, 13]], [RED, GREEN], atol=30)


# What a camera writes if it was held so that the top of the scene is at the right: 6, and so on.
@pytest.mark.parametrize(
    ("orientation", "turn"),
    [
        (1, None),
        (2, Image.Transpose.FLIP_LEFT_RIGHT),
        (3, Image.Transpose.ROTATE_180),
        (6, Image.Transpose.ROTATE_90),
        (8, Image.Transpose.ROTATE_270),
    ],
)
def test_a_jpeg_is_rotated_as_its_exif_says(
    tmp_path: Path, orientation: int, turn: Image.Transpose | None
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = halves() if turn is None else halves().transpose(turn)
    stored.save(tmp_path / "mine.jpg", exif=exif, quality=95)
    image = read_image(tmp_path / "mine.jpg", 16)
    np.testing.assert_allclose(image[8, [2, 13]], [RED, GREEN], atol=30)


def test_what_is_transparent_is_white_whatever_its_colour(tmp_path: Path) -> None:
    clear = np.zeros((20, 20, 4), np.uint8)
    clear[:, 10:] = (*RED, 255)
    Image.fromarray(clear).save(tmp_path / "clear.png")
    shades = np.stack([np.full((20, 20), 9), np.zeros((20, 20))], -1).astype(np.uint8)
    Image.fromarray(shades, "LA").save(tmp_path / "grey.png")
    palette = Image.new("P", (20, 20), 1)
    palette.putpalette([*RED, *GREEN])
    palette.save(tmp_path / "palette.png", transparency=1)
    image = read_image(tmp_path / "clear.png", 20)
    np.testing.assert_array_equal(image[10, [2, 17]], [WHITE, RED])
    for name in ("grey", "palette"):
        assert (read_image(tmp_path / f"{name}.png", 20) == 255).all()


@pytest.mark.parametrize("kind", ["8 bits", "16 bits", "1 bit"])
@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_greyscale_keeps_its_shades(tmp_path: Path, kind: str, suffix: str) -> None:
    shades = np.repeat(np.array([[0, 128, 255]]), 3, axis=0).repeat(6, axis=0).repeat(6, axis=1)
    if kind == "16 bits":
        picture = Image.fromarray((shades * 257).astype(np.uint16))
    else:
        picture = Image.fromarray(shades.astype(np.uint8))
        picture = picture.convert("1", dither=0) if kind == "1 bit" else picture
        shades = 255 * (shades > 127) if kind == "1 bit" else shades
    picture.save(tmp_path / f"grey.{suffix}")
    image = read_image(tmp_path / f"grey.{suffix}", 18)
    np.testing.assert_array_equal(image[9, [2, 9, 15]], shades[9, [2, 9, 15], None].repeat(3, 1))


def test_a_png_of_16_bits_a_channel_keeps_its_colours(tmp_path: Path) -> None:
    import struct
    import zlib

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    row = b"\0" + struct.pack(">HHH", 65535, 32768, 0) * 4
    header = struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(row * 4)) + chunk(b"IEND", b"")
    (tmp_path / "deep.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    assert (read_image(tmp_path / "deep.png", 4) == [255, 128, 0]).all()


def test_a_cmyk_jpeg_keeps_its_colours(tmp_path: Path) -> None:
    Image.new("CMYK", (20, 20), (0, 255, 255, 0)).save(tmp_path / "print.jpg", quality=95)
    np.testing.assert_allclose(read_image(tmp_path / "print.jpg", 16)[8, 8], RED, atol=4)


@pytest.mark.parametrize("suffix", ["gif", "png", "webp"])
def test_the_first_frame_of_an_animation_is_used_and_a_line_says_so(
    tmp_path: Path, suffix: str
) -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in (RED, GREEN)]
    path, notes = tmp_path / f"moving.{suffix}", []
    frames[0].save(path, save_all=True, append_images=frames[1:], lossless=True)
    image = read_image(path, 16, note=notes.append)
    assert (image == RED).all()
    assert notes == [f"note: moving.{suffix} has several frames; the first is used"]


def test_a_picture_of_one_pixel_fills_the_square(tmp_path: Path) -> None:
    Image.new("RGB", (1, 1), RED).save(tmp_path / "dot.png")
    assert (read_image(tmp_path / "dot.png", 16) == RED).all()


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "tiff", "webp"])
@pytest.mark.parametrize("kept", [0.5, 0.02])
def test_a_truncated_picture_is_refused(tmp_path: Path, suffix: str, kept: float) -> None:
    path = tmp_path / f"cut.{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (60, 60, 3)).astype(np.uint8)
    Image.fromarray(noise).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    refused(path)


@pytest.mark.parametrize(
    "text",
    [
        "<svg xmlns='http://www.w3.org/2000/svg'/>",
        "\ufeff<?xml version='1.0'?><svg/>",
        "\n<!doctype html><html></html>",
    ],
)
def test_a_page_or_a_drawing_under_another_name_is_called_what_it_is(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / "mine.png").write_text(text, encoding="utf-8")
    error = refused(tmp_path / "mine.png")
    assert "SVG or HTML" in error.message
    assert error.hint == "export it as PNG"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"\0\0\0\x18ftypheic\0\0\0\0",
    ],
)
def test_another_format_is_refused_and_no_other_program_is_started(
    tmp_path: Path, data: bytes
) -> None:
    (tmp_path / "mine.png").write_bytes(data)
    assert "PNG, JPEG" in refused(tmp_path / "mine.png").hint


@pytest.mark.parametrize(
    "values", [np.full((4, 4), 70_000, np.int32), np.zeros((4, 4), np.float32)]
)
def test_values_beyond_16_bits_are_refused(tmp_path: Path, values: np.ndarray) -> None:
    Image.fromarray(values).save(tmp_path / "raw.tiff")
    assert refused(tmp_path / "raw.tiff").hint == "convert it to 8 bits"


def test_a_path_without_a_file_is_said_to_have_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no image at"):
        read_image(tmp_path / "none.png", 16)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (Path.mkdir, "a folder"),
        (os.mkfifo, "a named pipe"),
        (lambda path: path.symlink_to("/dev/zero"), "a device"),
        (lambda path: (path.touch(), os.truncate(path, 1 << 40)), "more than 256,000,000 bytes"),
    ],
)
def test_what_is_no_file_is_not_read(
    tmp_path: Path, make: Callable[[Path], object], reason: str
) -> None:
    make(tmp_path / "mine.png")
    assert reason in refused(tmp_path / "mine.png").message


@pytest.mark.parametrize("side", [11, 20])  # Pillow warns of the first, refuses the second
def test_a_png_of_too_many_pixels_is_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side: int
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    Image.new("L", (side, side)).save(tmp_path / "mine.png")
    error = refused(tmp_path / "mine.png")
    assert "more than 100 pixels" in error.message
    assert "shrink it" in error.hint


def test_a_jpeg_of_too_many_pixels_is_decoded_at_a_fraction_of_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20_000)
    large = halves().resize((1024, 512), Image.Resampling.NEAREST)
    large.save(tmp_path / "mine.jpg", quality=95)
    image = read_image(tmp_path / "mine.jpg", 16)
    np.testing.assert_allclose(image[8, [2, 13]], [RED, GREEN], atol=8)
    large.save(tmp_path / "progressive.jpg", progressive=True)
    assert "1024 × 512 pixels" in refused(tmp_path / "progressive.jpg").message
    assert "not progressive" in refused(tmp_path / "progressive.jpg").hint


@pytest.mark.slow
def test_a_jpeg_of_20_000_by_20_000_takes_little_memory(tmp_path: Path) -> None:
    Image.new("L", (20_000, 20_000), 200).save(tmp_path / "huge.jpg")
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from nsi_cli.interpretation.own_images.reading import read_image\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak(); image = read_image(Path(sys.argv[1]), 64)\n"
        "print(image.mean(), peak() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "huge.jpg"],
                          capture_output=True, text=True, check=True)  # fmt: skip
    mean, grown = map(float, done.stdout.split())
    assert mean == pytest.approx(200, abs=1)
    assert grown * (1 if sys.platform == "darwin" else 1024) < 200e6


def test_a_pillow_image_and_an_array_are_taken_too() -> None:
    assert (pixels_of(Image.new("RGBA", (4, 4), (9, 9, 9, 0))) == 255).all()
    with pytest.raises(DataError, match=r"uint8 \(H, W, 3\)"):
        fitted(np.zeros((4, 4, 4), np.uint8), 16, lambda image: image)


@given(place=st.integers(0, 400), value=st.integers(0, 255), cut=st.integers(0, 400))
@settings(max_examples=60)
def test_a_damaged_picture_is_read_or_is_an_error_of_ours(place: int, value: int, cut: int) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (30, 20), RED).save(buffer, "PNG")
    data = bytearray(buffer.getvalue())
    data[place % len(data)] = value
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mine.png"
        path.write_bytes(data[: len(data) - cut % 7])
        with suppress(DataError):
            assert read_image(path, 16).shape == (16, 16, 3)
