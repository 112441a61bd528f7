"""The segmentation metrics beside three public evaluators, restated here from their behaviour.

The evaluators work on masks of pixels, ours on the table of overlaps.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score

from nsi_cli.evaluation.metrics.mean_iou import MEAN_IOUS, mean_ious
from nsi_cli.evaluation.metrics.segmentation import adjusted_rand_index, mean_best_overlap

TABLES = 2000
Labels = np.ndarray
"""The segment of each pixel, (pixels,)."""


def clevrtex(true: Labels, predicted: Labels, slots: int) -> dict[str, float]:
    """The evaluator of CLEVRTex's authors, given a batch of this one image.

    ``mIoU``, ``mIoU_fg`` (which their notebook's table prints), ``mIoU_gt``, ``ARI``, ``ARI_FG``.
    """
    count = max(int(true.max()) + 1, slots)
    of_true, of_predicted = _masks(true, count), _masks(predicted, count)
    both = _pixels_in_both(of_true, of_predicted).astype(np.float32)
    either = (len(true) - _pixels_in_both(~of_true, ~of_predicted)).astype(np.float32)
    iou = np.divide(both, either, out=np.zeros_like(both), where=either > 0)
    own, partner = linear_sum_assignment(iou, maximize=True)
    matched = iou[own, partner].astype(np.float64)
    there = of_true.any(0)
    pairs = (there | of_predicted.any(0)[partner]).sum()
    front = true > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "mIoU": matched.sum() / pairs,
            "mIoU_fg": matched[1:].sum() / (pairs - 1),
            "mIoU_gt": matched.sum() / there.sum(),
            "ARI": adjusted_rand_score(true, predicted),
            "ARI_FG": adjusted_rand_score(true[front], predicted[front]),
        }


def true_segments(true: Labels, predicted: Labels, slots: int) -> dict[str, float]:
    """OCLF's metrics, and with them VideoSAUR's and SlotDiffusion's, in float64.

    ``mIoU`` by Hungarian matching over the true segments that are not empty, the background among
    them; ``mBO`` over the objects, NaN for an image that is skipped; ``ARI`` and ``FG-ARI``.
    """
    of_true, of_predicted = _masks(true, int(true.max()) + 1), _masks(predicted, slots)
    there = of_true.any(0)
    iou = _exact_iou(of_true[:, there], of_predicted)
    own, partner = linear_sum_assignment(iou, maximize=True)
    objects = of_true[:, 1:][:, there[1:]]
    best = _exact_iou(objects, of_predicted).max(1)
    return {
        "mIoU": iou[own, partner].sum() / len(iou),
        "mBO": float(best.mean()) if len(best) else np.nan,
        "ARI": _rand_index(of_true, of_predicted),
        "FG-ARI": _rand_index(of_true[:, 1:], of_predicted),
    }


def _masks(labels: Labels, count: int) -> np.ndarray:
    return labels[:, None] == np.arange(count)


def _pixels_in_both(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return one.T.astype(np.float64) @ other.astype(np.float64)


def _exact_iou(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    both = _pixels_in_both(one, other)
    either = len(one) - _pixels_in_both(~one, ~other)
    return np.divide(both, either, out=np.zeros_like(both), where=either > 0)


def _rand_index(true: np.ndarray, predicted: np.ndarray) -> float:
    """From counts n(n − 1); pixels that no true mask holds do not count; 1 where undefined."""
    shared = _pixels_in_both(true, predicted)
    rows, columns, pixels = shared.sum(1), shared.sum(0), shared.sum()
    together = (shared * (shared - 1)).sum()
    a, b = (rows * (rows - 1)).sum(), (columns * (columns - 1)).sum()
    expected = a * b / max(pixels * (pixels - 1), 1)
    span = (a + b) / 2 - expected
    return float((together - expected) / span) if span > 0 else 1.0


def random_table(rng: np.random.Generator) -> np.ndarray:
    """Pixels that true and predicted segments share: few and many, with ties and empty sides."""
    true, slots = rng.integers(1, 8, size=2)
    most = rng.choice([2, 3, 12, 300])
    table = rng.integers(0, most, size=(true, slots))
    table[rng.random((true, slots)) < rng.choice([0, 0.5, 0.9])] = 0
    table[rng.random(true) < 0.2] = 0
    table[:, rng.random(slots) < 0.2] = 0
    if not table.any():
        table[rng.integers(true), rng.integers(slots)] = 1
    return table


def adversarial_tables() -> Iterator[np.ndarray]:
    """Cases in which matchings are equally good, or a divisor is 0 or counts an empty pair."""
    for size in range(1, 6):
        yield np.eye(size, dtype=int) * 5  # all perfect
        yield np.ones((size, size), int)  # all equal
        yield np.full((1, size), 4)  # only background
        yield np.full((size, 1), 4)  # one slot
        yield np.pad(np.eye(size, dtype=int), ((1, 0), (0, 0)))  # no background
        yield np.pad(np.eye(size, dtype=int), ((0, 3), (0, 0)))  # objects without a pixel
        yield np.pad(np.eye(size, dtype=int), ((0, 0), (3, 0)))  # slots without a pixel
    yield np.array([[9, 0], [9, 0], [9, 0]])  # objects left over beside an empty slot
    yield np.array([[9, 9, 9], [0, 0, 0], [0, 0, 0]])  # slots left over beside empty objects
    # In float64 another of the equally good matchings comes first, with another number of pairs.
    yield np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [5, 1, 3]])
    yield np.array([[0, 1, 4], [1, 5, 0], [0, 0, 0], [0, 0, 4], [0, 3, 0]])
    yield np.array([[40_000, 1], [1, 2]])
    yield np.array([[49_999, 0], [0, 1]])


def labels_of(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    true, predicted = np.indices(table.shape).reshape(2, -1)
    return np.repeat(true, table.ravel()), np.repeat(predicted, table.ravel())


def tables() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    found = list(adversarial_tables())
    return found + [random_table(rng) for _ in range(TABLES - len(found))]


def close(ours: float, theirs: float) -> bool:
    """Equal, or neither is a number: an infinite or missing value of theirs counts nowhere."""
    return (
        bool(np.isclose(ours, theirs, rtol=0, atol=1e-7)) if np.isfinite(theirs) else ours != ours
    )


@pytest.mark.slow
def test_every_metric_is_that_of_the_public_evaluators() -> None:
    for table in tables():
        true, predicted = labels_of(table)
        theirs = clevrtex(true, predicted, table.shape[1])
        others = true_segments(true, predicted, table.shape[1])
        ours = dict(zip(MEAN_IOUS, mean_ious(table[None])[0], strict=True))
        ari = adjusted_rand_index(table[None])[0]
        fg_ari = adjusted_rand_index(table[None, 1:])[0]
        pairs = {
            "miou": (ours["miou"], theirs["mIoU"]),
            "miou_fg": (ours["miou_fg"], theirs["mIoU_fg"]),
            "miou_gt": (ours["miou_gt"], theirs["mIoU_gt"]),
            "miou_gt of OCLF": (ours["miou_gt"], others["mIoU"]),
            "ARI": (ari, theirs["ARI"]),
            "ARI of OCLF": (ari, others["ARI"]),
            "FG-ARI": (fg_ari, theirs["ARI_FG"]),
            "FG-ARI of OCLF": (fg_ari, others["FG-ARI"]),
            "mBO": (mean_best_overlap(table[None])[0], others["mBO"]),
        }
        wrong = {name: pair for name, pair in pairs.items() if not close(*pair)}
        assert not wrong, f"{table.tolist()}: {wrong}"


def test_the_tables_tell_the_divisors_apart() -> None:
    """Of so many tables some must differ, or the test above would hold for one mIoU thrice."""
    found = np.array([mean_ious(table[None])[0] for table in tables()])
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert (np.abs(found[:, one] - found[:, other]) > 0.01).mean() > 0.2
