"""Scenes are resized to the square images of a store: images bicubic, masks by nearest pixel."""

import numpy as np
import pytest
from PIL import Image

from nsi_cli.data.build.resize import resized
from nsi_cli.schema.scene import Scene

ROWS = np.arange(3, dtype=np.float32)[:, None]


def test_each_pixel_of_a_resized_mask_is_the_object_at_its_centre() -> None:
    mask = np.random.default_rng(0).integers(0, 10, (40, 60)).astype(np.uint8)
    rows = np.arange(1, 10, dtype=np.float32)[:, None]
    scene = resized(Scene("s", np.zeros((40, 60, 3), np.uint8), rows, mask), 8)
    assert scene.mask is not None
    y, x = ((np.arange(8) + 0.5) * side / 8 for side in mask.shape)
    objects = np.concatenate([[0], scene.primitives[:, 0]])[scene.mask]
    np.testing.assert_array_equal(objects, mask[np.ix_(y.astype(int), x.astype(int))])


def test_an_image_is_resized_bicubic() -> None:
    image = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    wanted = Image.fromarray(image).resize((8, 8), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(resized(Scene("s", image, ROWS), 8).image, np.asarray(wanted))


def test_an_object_without_a_pixel_after_the_resize_is_dropped() -> None:
    mask = np.zeros((40, 60), np.uint8)
    mask[:, :30], mask[:, 30:], mask[0, 0] = 1, 3, 2
    scene = resized(Scene("s", np.zeros((40, 60, 3), np.uint8), ROWS, mask), 8)
    assert scene.image.shape == (8, 8, 3)
    assert scene.mask is not None
    assert scene.mask.tolist() == [[1] * 4 + [2] * 4] * 8  # object 2, one pixel, is gone
    assert (scene.primitives.tolist(), scene.dropped) == ([[0.0], [2.0]], 1)


@pytest.mark.parametrize("size", [16, 40])
def test_a_pillow_image_is_resized_as_an_array_is(size: int) -> None:
    image = np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)
    one, other = (resized(Scene("s", given, ROWS), size) for given in
                  (image, Image.fromarray(image)))  # fmt: skip
    assert isinstance(other.image, np.ndarray)
    np.testing.assert_array_equal(one.image, other.image)


def test_a_scene_of_the_right_size_is_unchanged() -> None:
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    scene = resized(Scene("s", image, ROWS), 4)
    np.testing.assert_array_equal(scene.image, image)
    assert scene.mask is None
