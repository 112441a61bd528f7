"""The training, validation and test splits, by the index of a scene in the dataset."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

SIZES = {"full": 50_000, "outd": 10_000, "camo": 20_000}
"""The total number of scenes of a variant, if it is known."""

_NSI = {"train": (0, 37_500), "val": (37_500, 40_000), "test": (40_000, 50_000)}
_BENCHMARK = {"train": (0.2, 1.0), "val": (0.1, 0.2), "test": (0.0, 0.1)}
_PROPORTIONAL = {"train": (0.0, 0.85), "val": (0.85, 0.9), "test": (0.9, 1.0)}

IntArray = npt.NDArray[np.int64]


def choose_rule(split_by: str, variant: str, *, synthetic: bool) -> str:
    """Return the rule that ``--split-by`` means for a variant.

    The rules are nsi, benchmark, proportional and test. The ranges of nsi apply only to full's
    50 000 scenes, and the dataset's authors do not divide outd. Otherwise, all scenes are for test.
    """
    if split_by == "auto":
        split_by = "proportional" if synthetic else "nsi"
        return split_by if variant == "full" else "test"
    undivided = {"nsi": variant != "full", "benchmark": variant == "outd"}
    return "test" if undivided.get(split_by, False) else split_by


def split(indices: IntArray, rule: str) -> dict[str, IntArray]:
    """Return the positions in ``indices`` (n,), ascending, of each split's scenes, if it has any.

    ``nsi`` uses fixed ranges of scene indices. ``benchmark`` (10 % test, 10 % val, 80 % train) and
    ``proportional`` (85 % train, 5 % val, 10 % test) divide the list of existing scenes, as the
    loader of the dataset's authors does. ``test`` uses all scenes for test.
    """
    n = len(indices)
    cuts: dict[str, tuple[int, int]]
    if rule == "test":
        cuts = {"test": (0, n)}
    elif rule == "nsi":
        cuts = {
            name: (int(start), int(end))
            for name, bounds in _NSI.items()
            for start, end in [np.searchsorted(indices, bounds)]
        }
    elif rule == "benchmark":  # rounded down, as in that loader
        cuts = {name: (int(low * n), int(high * n)) for name, (low, high) in _BENCHMARK.items()}
    else:
        cuts = {
            name: (round(low * n), round(high * n)) for name, (low, high) in _PROPORTIONAL.items()
        }
    return {name: np.arange(start, end) for name, (start, end) in cuts.items() if end > start}


def split_notes(indices: IntArray, split_by: str, rule: str, variant: str) -> list[str]:
    """Return lines about unexpected properties of the splits, often none."""
    count = len(indices)
    if split_by in ("nsi", "benchmark") and rule == "test":
        why = (
            "the nsi splits are ranges of the 50,000 scenes of full"
            if split_by == "nsi"
            else "the dataset's authors do not divide outd"
        )
        return [
            f"--split-by {split_by}: {why}; all {count:,} scenes of {variant} are for test "
            "(--split-by proportional divides them)"
        ]
    if rule != "benchmark":
        return []
    parts = split(indices, rule)
    ranges = ", ".join(
        f"{name} {indices[parts[name][0]]}–{indices[parts[name][-1]]} ({len(parts[name]):,})"
        for name in ("test", "val", "train")
        if name in parts
    )
    notes = [f"--split-by benchmark: {count:,} scenes of {variant}, by index: {ranges}"]
    whole = SIZES.get(variant, count)
    if count != whole:
        notes.append(
            f"warning: {variant} has {whole:,} scenes, but the raw folder has only {count:,}: "
            "train may contain scenes that are for test in the whole dataset"
        )
    return notes
