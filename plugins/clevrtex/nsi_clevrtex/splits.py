"""Which scenes are for training, validation and test, by their index in the dataset."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

SPLIT_BY = ("auto", "nsi", "benchmark", "proportional", "test")

_BOUNDS = {
    "nsi": {"train": (0, 37_500), "val": (37_500, 40_000), "test": (40_000, 50_000)},
    "benchmark": {"train": (10_000, 50_000), "val": (5_000, 10_000), "test": (0, 5_000)},
}
_SHARES = {"train": (0.0, 0.85), "val": (0.85, 0.9), "test": (0.9, 1.0)}

Places = npt.NDArray[np.int64]


def split(indices: Places, split_by: str) -> dict[str, Places]:
    """The places in ``indices`` (n,), ascending, of each split's scenes, if it has any.

    ``nsi`` and ``benchmark`` are fixed ranges of scene indices; ``proportional`` cuts however
    many scenes there are (85, 5 and 10 %); ``test`` takes them all for test.
    """
    count = len(indices)
    if split_by == "test":
        cuts = {"test": (0, count)}
    elif split_by == "proportional":
        cuts = {
            name: (round(low * count), round(high * count)) for name, (low, high) in _SHARES.items()
        }
    else:
        cuts = {
            name: (int(start), int(end))
            for name, bounds in _BOUNDS[split_by].items()
            for start, end in [np.searchsorted(indices, bounds)]
        }
    return {name: np.arange(start, end) for name, (start, end) in cuts.items() if end > start}
