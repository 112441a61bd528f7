"""The image, primitives and mask of a scene must agree, also after objects are dropped."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from nsi_cli.schema.scene import Scene, keep_visible
from nsi_cli.support.errors import DataError

IMAGE = np.zeros((4, 6, 3), np.uint8)
ROWS = np.arange(3, dtype=np.float32)[:, None]


def _mask(*values: int) -> np.ndarray:
    mask = np.zeros((4, 6), np.uint8)
    mask.flat[: len(values)] = values
    return mask


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": IMAGE[..., 0]}, "an image must be uint8"),
        ({"image": IMAGE.astype(np.float32)}, "an image must be uint8"),
        ({"image": np.zeros((4, 6, 4), np.uint8)}, "an image must be uint8"),
        ({"primitives": ROWS.astype(np.float64)}, "primitives must be float32"),
        ({"primitives": ROWS[:, 0]}, "primitives must be float32"),
        ({"mask": _mask(1, 2, 3).T}, "a mask must be uint8"),
        ({"mask": _mask(1, 2, 3).astype(np.int64)}, "a mask must be uint8"),
        ({"mask": _mask(1, 3)}, "object 2 has no pixel in the mask"),
        ({"mask": _mask(1, 2, 3, 7)}, "the mask has a value 7 that belongs to no object"),
        ({"mask": _mask(1, 2, 4)}, "object 3 has no pixel .* and the mask has a value 4"),
    ],
)
def test_a_contradiction_is_an_error_with_the_id_of_the_scene(
    changes: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(DataError, match=f"scene s: {message}"):
        Scene("s", **{"image": IMAGE, "primitives": ROWS, "mask": _mask(1, 2, 3), **changes})


def test_an_object_without_a_pixel_is_dropped_and_the_others_are_renumbered() -> None:
    scene = keep_visible("s", IMAGE, ROWS, _mask(3, 0, 1, 3), dropped=1)
    assert scene.primitives.tolist() == [[0.0], [2.0]]
    assert scene.dropped == 2
    np.testing.assert_array_equal(scene.mask, _mask(2, 0, 1, 2))


def test_all_objects_may_be_without_a_pixel() -> None:
    scene = keep_visible("s", IMAGE, ROWS, _mask())
    assert scene.primitives.shape == (0, 1)
    assert scene.dropped == 3


def test_a_mask_value_without_an_object_is_an_error() -> None:
    with pytest.raises(DataError, match="the mask has a value 4"):
        keep_visible("s", IMAGE, ROWS, _mask(1, 2, 4))


@given(arrays(np.uint8, (4, 6), elements=st.integers(0, 5)))
def test_each_pixel_keeps_its_object(mask: np.ndarray) -> None:
    rows = np.arange(10, 15, dtype=np.float32)[:, None]
    scene = keep_visible("s", IMAGE, rows, mask)
    assert len(scene.primitives) + scene.dropped == 5
    assert scene.mask is not None
    before = np.concatenate([[0], rows[:, 0]])[mask]
    after = np.concatenate([[0], scene.primitives[:, 0]])[scene.mask]
    np.testing.assert_array_equal(before, after)


def test_an_image_that_is_not_rgb_is_refused() -> None:
    for image, message in (
        (np.zeros((4, 4), np.uint8), r"not uint8 \(4, 4\)"),
        (Image.new("L", (4, 4)), "not Image of mode L"),
        ("4 x 4", "not str of mode None"),
    ):
        with pytest.raises(DataError, match=message):
            Scene("s", image, ROWS)  # type: ignore[arg-type]


def test_a_mask_has_the_size_of_a_pillow_image() -> None:
    picture = Image.new("RGB", (6, 4))
    assert Scene("s", picture, ROWS[:0], np.zeros((4, 6), np.uint8)).mask is not None
    with pytest.raises(DataError, match="a mask must be"):
        Scene("s", picture, ROWS[:0], np.zeros((6, 4), np.uint8))


def test_the_pixels_of_a_pillow_image_are_an_array() -> None:
    image = np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)
    np.testing.assert_array_equal(Scene("s", Image.fromarray(image), ROWS).pixels, image)
