"""Donors: the other scenes whose slots replace a scene's own when a null is measured."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def donors(scenes: int, most: int, seed: int) -> npt.NDArray[np.int64]:
    """Up to ``most`` derangements of ``scenes`` scenes, (D, scenes); none for a single scene.

    Each row gives every scene another one, never itself, and no scene gets the same one twice.
    The scenes stand in a random circle drawn by ``seed``; row d takes the one d + 1 places on.
    """
    circle = np.random.default_rng(seed).permutation(scenes)
    count = min(most, scenes - 1)
    others = np.empty((count, scenes), np.int64)
    for row in range(count):
        others[row, circle] = np.roll(circle, -row - 1)
    return others
