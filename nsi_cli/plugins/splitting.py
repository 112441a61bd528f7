"""Dividing scenes into splits at random, the same each time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from nsi_cli.support.errors import DataError

T = TypeVar("T")

NAMES = ("train", "val", "test")


def split_randomly(
    sources: Sequence[T], *, val: float = 0.1, test: float = 0.1, seed: int = 0
) -> dict[str, list[T]]:
    """Divide scenes into train, val and test; each keeps the order of ``sources``.

    ``val`` and ``test`` are shares of the scenes, rounded to whole scenes but to at least one;
    0 leaves that split out. The result depends on the order of ``sources``, so sort them first.
    Raises `DataError` if no scene is left for train.
    """
    held_out = {"val": val, "test": test}
    sizes = {name: max(1, round(share * len(sources))) for name, share in held_out.items() if share}
    if sum(sizes.values()) >= len(sources):
        wanted = " and ".join(f"{share:.0%} for {name}" for name, share in held_out.items())
        raise DataError(
            f"{len(sources)} scenes are too few for {wanted} besides train",
            "check the raw folder, or hold out fewer",
        )
    order = np.random.default_rng(seed).permutation(len(sources))
    splits, start = {}, 0
    for name, size in {**sizes, "train": len(sources) - sum(sizes.values())}.items():
        splits[name] = [sources[index] for index in sorted(order[start : start + size])]
        start += size
    return {name: splits[name] for name in NAMES if name in splits}
