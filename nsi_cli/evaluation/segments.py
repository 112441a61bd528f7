"""Segments at image resolution from soft masks, and their overlap with the true segments."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def segments(masks: npt.NDArray[np.float32], size: int) -> npt.NDArray[np.uint8]:
    """The largest of masks (B, K, h, w) at each pixel, upsampled bilinearly, (B, size, size).

    One image at a time, since K upsampled masks take many times the memory of the image.
    """
    labels = np.empty((len(masks), size, size), np.uint8)
    for row, mask in enumerate(masks):
        labels[row] = upsampled(mask, size).argmax(0)
    return labels


def upsampled(masks: npt.NDArray[np.float32], size: int) -> npt.NDArray[np.float32]:
    """Masks (…, h, w) upsampled bilinearly to (…, size, size), as torch's ``interpolate`` does it.

    Columns first, while there are few rows. Two matrix products would do the same, but with threads
    that are slow on a busy machine.
    """
    left, right, weight = _neighbours(masks.shape[-1], size)
    wide = masks[..., left] * (1 - weight) + masks[..., right] * weight  # (…, h, size)
    above, below, weight = _neighbours(masks.shape[-2], size)
    weight = weight[:, None]
    large = wide[..., above, :] * (1 - weight)
    large += wide[..., below, :] * weight
    return np.asarray(large, np.float32)


def _neighbours(
    side: int, size: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """The two of ``side`` cells nearest to each of ``size`` pixels; the weight of the second."""
    centre = np.clip((np.arange(size) + 0.5) * side / size - 0.5, 0, side - 1)
    first = centre.astype(np.int64)
    return first, np.minimum(first + 1, side - 1), (centre - first).astype(np.float32)


def contingency(
    true: npt.NDArray[np.uint8], predicted: npt.NDArray[np.uint8], *, objects: int, slots: int
) -> npt.NDArray[np.int64]:
    """The number of pixels that each true and each predicted segment share, (B, M, ``slots``).

    ``true`` and ``predicted`` are (B, S, S) of segment numbers. Row 0 is the background; there
    are M = 1 + ``objects`` rows, or more if a true mask has a larger number. All segmentation
    metrics are computed from this table.
    """
    rows = max(objects, int(true.max(initial=0))) + 1
    scene = np.arange(len(true), dtype=np.int64)[:, None, None]
    cell = (scene * rows + true) * slots + predicted
    counts = np.bincount(cell.ravel(), minlength=len(true) * rows * slots)
    return counts.reshape(len(true), rows, slots)


def overlap_ratios(overlap: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Intersection over union of every pair of segments, (…, M, K); 0 if both are empty."""
    true, predicted = overlap.sum(-1, keepdims=True), overlap.sum(-2, keepdims=True)
    union = true + predicted - overlap
    ratios: npt.NDArray[np.float64] = np.divide(
        overlap, union, out=np.zeros(overlap.shape), where=union > 0
    )
    return ratios
