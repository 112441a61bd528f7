"""A share of annotated scenes: which scenes of a split a training may read the annotation of."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_PURPOSE = (0x616E6E, 0)  # keeps this draw apart from that of the data order


def annotated_scenes(seed: int, count: int, share: float) -> npt.NDArray[np.bool_]:
    """Which of ``count`` scenes count as annotated, (count,): ``share`` of them, at least one.

    A function of the seed; a smaller share of the same seed is part of a larger one.
    """
    order = np.random.default_rng([seed, *_PURPOSE]).permutation(count)
    chosen = np.zeros(count, bool)
    chosen[order[: max(1, round(share * count))]] = True
    return chosen
