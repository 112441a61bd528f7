"""Image protocols: the crop and the size of a scene's frame before the store's resize.

- ``nsi``: the whole frame.
- ``benchmark``: the centre crop of the dataset's authors, 192 × 192.
- ``release``: the whole frame at 128 × 128, as the published code of Neural Slot Interpreters
  stores it (``skimage.transform.resize`` with its defaults). Its training then enlarges that to the
  model's size (bicubic), as the store's resize does here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from nsi_clevrtex.pictures import FRAME
from nsi_cli.plugins import Scene, keep_visible

CROP = (64, 24, 256, 216)  # left, top, right, bottom
RELEASE_SIZE = 128

Pixels = npt.NDArray[np.uint8]


def apply_protocol(protocol: str, scene: Scene) -> Scene:
    """Return the scene with the protocol's crop and size, without objects that lose all pixels."""
    if protocol == "nsi" or scene.mask is None:
        return scene
    if protocol == "benchmark":
        image, mask = crop(scene.pixels), crop(scene.mask)
    else:
        size = (RELEASE_SIZE, RELEASE_SIZE)
        image = shrink(scene.pixels)
        mask = np.asarray(Image.fromarray(scene.mask).resize(size, Image.Resampling.NEAREST))
    return keep_visible(scene.id, image, scene.primitives, mask, scene.dropped, scene.hidden)


def prepare_image(protocol: str, image: Pixels) -> Pixels | None:
    """Prepare any image like a scene's; return None if the crop does not fit its size."""
    if protocol == "nsi":
        return image
    if protocol == "release":
        return shrink(image)
    return crop(image) if image.shape[1::-1] == FRAME else None


def crop(picture: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the benchmark's centre crop of an image or a mask: 192 × 192 pixels."""
    left, top, right, bottom = CROP
    return np.ascontiguousarray(picture[top:bottom, left:right])


def shrink(image: Pixels) -> Pixels:
    """Resize an image (H, W, 3) as ``skimage.transform.resize(image, (128, 128))`` does.

    Each axis that shrinks by a factor above 1 is first blurred by a Gaussian of standard deviation
    (factor − 1) / 2. Then values are interpolated linearly between pixel centres. The image is
    mirrored at its borders. scikit-image returns floats in [0, 1]; here they are rounded to 8 bits.
    """
    from scipy import ndimage

    factors = [side / RELEASE_SIZE for side in image.shape[:2]] + [1.0]
    blurred = ndimage.gaussian_filter(
        image.astype(np.float64), [max(0.0, (factor - 1) / 2) for factor in factors], mode="mirror"
    )
    small = ndimage.zoom(
        blurred, [1 / factor for factor in factors], order=1, mode="mirror", grid_mode=True
    )
    rounded: Pixels = np.rint(small).clip(0, 255).astype(np.uint8)
    return rounded
