"""Pictures of a batch for the log: each image, and beside it which slot has each token."""

from __future__ import annotations

import colorsys

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from nsi_cli.models.image_encoder import ImageEncoding


def slot_pictures(
    images: Tensor, encoding: ImageEncoding, grid: tuple[int, int]
) -> npt.NDArray[np.uint8]:
    """Images (n, 3, S, S) uint8 in two rows: the image, and its coloured slots.

    The masks are the slot masks where the model has a decoder, else the attention masks.
    Returns (2·S, n·S, 3) uint8.
    """
    masks = encoding.attention_masks if encoding.slot_masks is None else encoding.slot_masks
    masks = masks.float()
    size = images.shape[-2:]
    fine = F.interpolate(masks.reshape(*masks.shape[:2], *grid), size=size, mode="bilinear")
    colors = torch.tensor(slot_colors(masks.shape[1]), device=masks.device)  # (K, 3)
    painted = (colors[fine.argmax(1)] * 255).permute(0, 3, 1, 2)  # (B, 3, S, S)
    mixed = 0.4 * images + 0.6 * painted
    rows = [torch.cat(list(picture), dim=-1) for picture in (images.float(), mixed)]
    array = torch.cat(rows, dim=-2).permute(1, 2, 0).round().to(torch.uint8)
    return np.asarray(array.cpu())


def slot_colors(count: int) -> list[tuple[float, float, float]]:
    """``count`` colours told apart by hue, as red, green, blue in [0, 1]."""
    return [colorsys.hsv_to_rgb(k / count, 0.75, 0.6 + 0.4 * (k % 2)) for k in range(count)]
