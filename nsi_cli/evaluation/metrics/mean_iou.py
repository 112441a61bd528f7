"""Mean IoU under a one-to-one matching, with the three divisors that papers use."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from nsi_cli.evaluation.segments import overlap_ratios

MEAN_IOUS = ("miou", "miou_fg", "miou_gt")
"""The columns of `mean_ious`."""


def mean_ious(overlap: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """The three mean IoUs of each overlap table (B, M, K), in the order of `MEAN_IOUS`; (B, 3).

    True and predicted segments are matched one to one so that the sum of their IoUs is largest,
    as CLEVRTex's evaluator does (Karazija et al., NeurIPS 2021). A pair counts where at least one
    side has a pixel.

    - ``miou``: the sum over all pairs, divided by the pairs that count.
    - ``miou_fg``: the sum without the background's pair, divided by that number minus one.
    - ``miou_gt``: the sum over all pairs, divided by the true segments that have a pixel.

    NaN if the divisor is 0.
    """
    return np.array([_mean_ious(table) for table in overlap]).reshape(-1, len(MEAN_IOUS))


def _mean_ious(table: npt.NDArray[np.int64]) -> list[float]:
    square = _squared(table)
    ratios = overlap_ratios(square)
    # The evaluator's matrix is float32. Among equally good matchings it counts the pairs of the
    # one that SciPy returns, so the solver must see the same matrix.
    rows, columns = linear_sum_assignment(ratios.astype(np.float32), maximize=True)
    matched = ratios[rows, columns]
    visible = square.sum(1) > 0
    pairs = int((visible | (square.sum(0) > 0)[columns]).sum())
    return [
        _share(matched.sum(), pairs),
        _share(matched[1:].sum(), pairs - 1),
        _share(matched.sum(), int(visible.sum())),
    ]


def _squared(table: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The table padded with empty rows or columns to a square.

    Its side is the number of slots, or the number of true segments up to the last one that has a
    pixel, if that is larger: as in the evaluator, given a batch of this image alone.
    """
    last = int(np.flatnonzero(table.sum(1)).max(initial=0))
    side = max(table.shape[1], last + 1)
    square = np.zeros((side, side), np.int64)
    square[: last + 1, : table.shape[1]] = table[: last + 1]
    return square


def _share(total: float, count: int) -> float:
    return float(total) / count if count > 0 else float("nan")
