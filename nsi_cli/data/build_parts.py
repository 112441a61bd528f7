"""Parts of a build: the first scenes only, or the shards that machines build apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nsi_cli.errors import DataError
from nsi_cli.plugins.contract import Source

Splits = Mapping[str, Sequence[Source]]


@dataclass(frozen=True)
class Shard:
    """Part ``index`` (1-based) of ``of`` parts."""

    index: int
    of: int

    def __str__(self) -> str:
        return f"{self.index}-of-{self.of}"

    def place(self, out: Path) -> Path:
        """Where the shard of the store ``out`` is built."""
        return shards_folder(out) / str(self)


def shards_folder(out: Path) -> Path:
    """The folder beside ``out`` that holds its shards."""
    return out.with_name(out.name + ".shards")


def limited(splits: Splits, limit: int | None) -> Splits:
    """The first scenes of each split, ``limit`` in all, shared out as the splits' sizes are.

    What the sizes' shares leave over goes to the splits with the largest remainders, the earlier
    first; a split gets at least one scene while there are enough for all.
    """
    total = sum(map(len, splits.values()))
    if limit is None or limit >= total:
        return splits
    least = 1 if limit >= len(splits) else 0
    exact = {split: limit * len(sources) / total for split, sources in splits.items()}
    shares = {split: max(least, int(share)) for split, share in exact.items()}
    while sum(shares.values()) != limit:
        step = 1 if sum(shares.values()) < limit else -1
        able = [split for split in shares if step > 0 or shares[split] > least]
        chosen = max(able, key=lambda split: step * (exact[split] - shares[split]))
        shares[chosen] += step
    return {split: sources[: shares[split]] for split, sources in splits.items() if shares[split]}


def shard_of(splits: Splits, shard: Shard | None) -> dict[str, tuple[int, int]]:
    """From where to where each split's scenes belong to a shard: all of them to none."""
    if shard is None:
        return {split: (0, len(sources)) for split, sources in splits.items()}
    cut = {}
    for split, sources in splits.items():
        start, end = (len(sources) * place // shard.of for place in (shard.index - 1, shard.index))
        cut[split] = (start, end)
    if all(start == end for start, end in cut.values()):
        raise DataError(f"shard {shard} has no scenes", "cut the build into fewer shards")
    return cut
