"""Image protocols: the crop and the size of a frame before the store's resize."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nsi_clevrtex.builder import ClevrtexBuilder
from nsi_clevrtex.protocols import crop, shrink
from PIL import Image

from nsi_cli.data.build.build import build_store
from nsi_cli.data.build.options import BuildOptions
from nsi_cli.data.store.reader import open_store
from nsi_cli.interpretation.own_images.reading import read_image

RNG = np.random.default_rng(0)
FRAME = RNG.integers(0, 256, (240, 320, 3), dtype=np.uint8)


def _axis_weights(side: int, size: int = 128) -> np.ndarray:
    """Return the release's resize along one axis as a matrix (size, side)."""
    factor = side / size
    sigma = max(0.0, (factor - 1) / 2)
    radius = int(4 * sigma + 0.5)
    bell = [math.exp(-0.5 * (k / sigma) ** 2) if sigma else 1.0 for k in range(-radius, radius + 1)]
    weights = np.zeros((size, side))
    for row in range(size):
        centre = (row + 0.5) * factor - 0.5
        low = math.floor(centre)
        for pixel, share in ((low, 1 - (centre - low)), (low + 1, centre - low)):
            if not share:
                continue
            for k, weight in enumerate(bell, start=-radius):
                weights[row, _mirrored(_mirrored(pixel, side) + k, side)] += (
                    share * weight / sum(bell)
                )
    return weights


def _mirrored(position: int, side: int) -> int:
    """Mirror a position beyond the border at the centre of the outermost pixel."""
    position = abs(position) % (2 * side - 2)
    return min(position, 2 * side - 2 - position)


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(st.integers(20, 400), st.integers(20, 400), st.integers(0, 2**32 - 1))
def test_the_release_protocol_resizes_like_the_release(height: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    rows, columns = _axis_weights(height), _axis_weights(width)
    expected = np.einsum("ah,hwc,bw->abc", rows, image.astype(float), columns, optimize=True)
    assert np.abs(shrink(image) - expected).max() <= 0.5 + 1e-6  # rounded to 8 bits


def test_a_frame_is_resized_to_the_values_of_scikit_image() -> None:
    """`SCIKIT_IMAGE` was computed by scikit-image 0.26; its first four pixels are corners."""
    y, x = np.mgrid[:240, :320]
    frame = np.stack([(x * 7 + y * 3) % 256, (x * y) % 256, x % 256], -1).astype(np.uint8)
    small = shrink(frame)
    for (row, column), expected in SCIKIT_IMAGE.items():
        assert np.abs(small[row, column] - np.array(expected)).max() <= 0.5 + 1e-3


SCIKIT_IMAGE = {
    (0, 0): (7.8155, 0.4576, 0.8981),
    (0, 127): (180.2418, 31.6443, 62.1019),
    (127, 0): (209.7582, 164.2468, 0.8981),
    (127, 127): (126.1845, 191.0817, 62.1019),
    (17, 93): (193.6875, 52.634, 233.25),
    (64, 64): (206.5625, 99.8863, 160.75),
    (101, 5): (150.1875, 145.0699, 13.25),
}


def _store(writer, out: Path, size: int, **options: str):
    builder = ClevrtexBuilder(writer.raw, split_by="test", **options)
    return open_store(build_store(builder, "clevrtex", out, BuildOptions(size)))


def test_a_release_store_contains_the_frame_enlarged_from_128_pixels(
    make_raw, boxes, tmp_path
) -> None:
    writer = make_raw()
    writer.scene(0, 10)
    small = shrink(writer.pixels(0))
    at_128 = _store(writer, tmp_path / "small", 128, protocol="release")
    np.testing.assert_array_equal(at_128.images("test", [0])[0], small)
    at_224 = _store(writer, tmp_path / "large", 224, protocol="release")
    large = Image.fromarray(small).resize((224, 224), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(at_224.images("test", [0])[0], np.asarray(large))
    mask = Image.fromarray(boxes(10)).resize((128, 128), Image.Resampling.NEAREST)
    np.testing.assert_array_equal(at_128.masks("test", [0])[0], np.asarray(mask))


@pytest.mark.slow
def test_both_resizes_together_are_within_three_levels_of_the_release() -> None:
    torch = pytest.importorskip("torch")
    y, x = np.mgrid[:240, :320]
    frame = np.stack([x * 255 // 320, (x // 20 + y // 20) % 2 * 255, y], -1).astype(np.uint8)
    exact = np.einsum("ah,hwc,bw->abc", _axis_weights(240), frame / 255.0, _axis_weights(320))
    floats = torch.from_numpy(exact).permute(2, 0, 1)[None]
    expected = torch.nn.functional.interpolate(
        floats, (224, 224), mode="bicubic", align_corners=False, antialias=True
    )[0].permute(1, 2, 0)
    ours = Image.fromarray(shrink(frame)).resize((224, 224), Image.Resampling.BICUBIC)
    error = np.abs(np.asarray(ours) - 255 * expected.clamp(0, 1).numpy())
    assert error.max() <= 3  # at edges between black and white
    assert error.mean() <= 0.5


def test_the_benchmarks_crop_is_the_central_192_pixels() -> None:
    frame = np.arange(240 * 320).reshape(240, 320)
    cut = crop(frame)
    assert cut.shape == (192, 192)
    assert (cut[0, 0], cut[-1, -1]) == (24 * 320 + 64, 215 * 320 + 255)


def test_other_images_are_prepared_like_scenes(tmp_path) -> None:
    whole, cut, release = (
        ClevrtexBuilder(tmp_path, protocol=name) for name in ("nsi", "benchmark", "release")
    )
    np.testing.assert_array_equal(whole.prepare(FRAME), FRAME)
    np.testing.assert_array_equal(cut.prepare(FRAME), FRAME[24:216, 64:256])
    np.testing.assert_array_equal(release.prepare(FRAME), shrink(FRAME))
    other = FRAME[:200]
    np.testing.assert_array_equal(whole.prepare(other), other)
    assert cut.prepare(other) is None
    assert release.prepare(other).shape == (128, 128, 3)


@pytest.mark.parametrize("protocol", ["nsi", "benchmark", "release"])
def test_a_scenes_image_file_is_prepared_as_in_the_store(make_raw, tmp_path, protocol: str) -> None:
    writer = make_raw()
    writer.scene(0, 3, mode="RGB")
    store = _store(writer, tmp_path / "store", 96, protocol=protocol)
    prepare = ClevrtexBuilder(writer.raw, protocol=protocol).prepare
    np.testing.assert_array_equal(
        read_image(writer.image(0), 96, prepare), store.images("test", [0])[0]
    )
