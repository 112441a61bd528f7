"""Resizing a scene to the square images of a store."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nsi_cli.schema.scene import Scene, keep_visible


def resized(scene: Scene, size: int) -> Scene:
    """The scene at size × size pixels; the image is resized bicubic, the mask by nearest neighbour.

    Objects without a pixel in the resized mask are dropped and counted.
    """
    from PIL import Image

    shape = (size, size)
    image = scene.image
    if (image.shape[:2] if isinstance(image, np.ndarray) else image.size) != shape:
        picture = Image.fromarray(image) if isinstance(image, np.ndarray) else image
        image = picture.resize(shape, Image.Resampling.BICUBIC)
    image = np.asarray(image)
    if scene.mask is None:
        return replace(scene, image=image)
    mask = scene.mask
    if mask.shape != shape:
        mask = np.asarray(Image.fromarray(mask).resize(shape, Image.Resampling.NEAREST))
    return keep_visible(
        scene.id, image, scene.primitives, mask, scene.dropped, scene.hidden, scene.label
    )
