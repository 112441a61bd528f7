"""Which scenes are for training, validation and test, by their index in the dataset."""

from __future__ import annotations

from collections.abc import Sequence

from nsi_clevrtex.layout import SceneSource

SPLIT_BY = ("auto", "nsi", "benchmark", "proportional", "test")

_BOUNDS = {
    "nsi": {"train": (0, 37_500), "val": (37_500, 40_000), "test": (40_000, 50_000)},
    "benchmark": {"train": (10_000, 50_000), "val": (5_000, 10_000), "test": (0, 5_000)},
}
_SHARES = {"train": (0.0, 0.75), "val": (0.75, 0.80), "test": (0.80, 1.0)}  # those of 'nsi'


def split(sources: Sequence[SceneSource], split_by: str) -> dict[str, list[SceneSource]]:
    """The scenes of each split that has any.

    ``nsi`` and ``benchmark`` are fixed ranges of scene indices; ``proportional`` cuts however
    many scenes there are as 'nsi' does (75, 5 and 20 %); ``test`` takes them all for test.
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
