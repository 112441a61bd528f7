"""Which scenes are for training, validation and test, by their index in the dataset."""

from __future__ import annotations

from collections.abc import Sequence

from nsi_clevrtex.layout import SceneSource

SPLIT_BY = ("auto", "nsi", "benchmark", "proportional", "test")

_BOUNDS = {
    "nsi": {"train": (0, 37_500), "val": (37_500, 40_000), "test": (40_000, 50_000)},
    "benchmark": {"train": (10_000, 50_000), "val": (5_000, 10_000), "test": (0, 5_000)},
}
_SHARES = {"train": (0.0, 0.85), "val": (0.85, 0.9), "test": (0.9, 1.0)}


def split(sources: Sequence[SceneSource], split_by: str) -> dict[str, list[SceneSource]]:
    """The scenes of each split that has any.

    ``nsi`` and ``benchmark`` are fixed ranges of scene indices; ``proportional`` cuts however
    many scenes there are (85, 5 and 10 %); ``test`` takes them all for test.
    """
    if split_by == "test":
        return {"test": list(sources)}
    if split_by == "proportional":
        count = len(sources)
        cut = {
            name: list(sources[round(low * count) : round(high * count)])
            for name, (low, high) in _SHARES.items()
        }
    else:
        cut = {
            name: [item for item in sources if low <= item.index < high]
            for name, (low, high) in _BOUNDS[split_by].items()
        }
    return {name: items for name, items in cut.items() if items}
