"""Compare the ranks of a whole split with a plain einsum over all pairs at once.

Run it with ``python benchmarks/retrieval.py [--scenes 10000] [--plain-scenes N]``. Scenes have
15 slots, 10 primitives and 64 dimensions. The plain version computes every dot product in one
einsum, takes the maximum over slots and the sum over primitives, and compares the whole score
matrix. Its products take 600 bytes for each pair, so both are compared on the most scenes for which
these fit in `MOST_BYTES`. Then all ranks of the larger split are timed, and their peak memory is
measured. Exits 1 if the ranks differ, the ratio is below `LEAST`, or the larger split takes more
than `MOST_SECONDS` or `MOST_BYTES`.
"""

from __future__ import annotations

import argparse
import math
import statistics

import numpy as np
import torch
from tools.measured import peak_bytes, seconds_of

from nsi_cli.evaluation.embeddings import SplitEmbeddings
from nsi_cli.evaluation.metrics.retrieval import all_ranks
from nsi_cli.evaluation.predictions import Predictions
from nsi_cli.support.threads import set_thread_defaults

SLOTS, PRIMITIVES, DIMENSIONS = 15, 10, 64
LEAST, MOST_SECONDS, MOST_BYTES = 3.0, 60.0, 2e9
PLAIN_SCENES = math.isqrt(int(MOST_BYTES / (SLOTS * PRIMITIVES * 4)))


def main() -> int:
    set_thread_defaults()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=10_000)
    parser.add_argument("--plain-scenes", type=int, default=PLAIN_SCENES)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--alignment", default="max", choices=("max", "hungarian"))
    options = parser.parse_args()
    ok = compare(options.plain_scenes, options.rounds) if options.alignment == "max" else True
    embeddings = random_split(options.scenes, options.alignment)
    seconds = []

    def run() -> None:
        seconds.append(seconds_of(lambda: all_ranks(embeddings), "cpu"))

    _, total = peak_bytes(run, "cpu")
    print(
        f"{options.scenes:,} × {options.scenes:,} scenes, {options.alignment}: {seconds[0]:.1f} s "
        f"(≤ {MOST_SECONDS:g}), {total / 1e9:.2f} GB (≤ {MOST_BYTES / 1e9:g})"
    )
    return int(not ok or seconds[0] > MOST_SECONDS or total > MOST_BYTES)


def compare(count: int, rounds: int) -> bool:
    embeddings = random_split(count, "max")
    times: dict[str, list[float]] = {"nsi": [], "plain": []}
    versions = {"nsi": lambda: all_ranks(embeddings), "plain": lambda: plain_ranks(embeddings)}
    for _ in range(rounds):
        for name, ranks in versions.items():
            ranks()  # the first call after the other version pays for its memory
            times[name].append(seconds_of(ranks, "cpu"))
    ratio = statistics.median(
        plain / ours for ours, plain in zip(times["nsi"], times["plain"], strict=True)
    )
    equal = all(
        np.array_equal(ranks.mean, plain)
        for ranks, plain in zip(all_ranks(embeddings), plain_ranks(embeddings), strict=True)
    )
    ours, plain = (statistics.median(values) for values in times.values())
    print(
        f"{count:,} × {count:,} scenes: nsi {ours:.2f} s, plain einsum {plain:.2f} s, "
        f"ratio {ratio:.1f} (≥ {LEAST:g}), {'equal' if equal else 'OTHER'} ranks"
    )
    return equal and ratio >= LEAST


def plain_ranks(embeddings: SplitEmbeddings) -> list[np.ndarray]:
    products = torch.einsum("ike,jte->ijkt", embeddings.slots, embeddings.primitives)
    scores = products.max(2).values.sum(-1)  # all primitives are present
    own = scores.diagonal()
    return [(1 + (matrix > own[:, None]).sum(1)).double().numpy() for matrix in (scores, scores.T)]


def random_split(count: int, alignment: str) -> SplitEmbeddings:
    """Slots that are noisy copies of their scene's primitives, in random order, and others."""
    rng = np.random.default_rng(0)
    primitives = rng.normal(size=(count, PRIMITIVES, DIMENSIONS)).astype(np.float32)
    slots = rng.normal(size=(count, SLOTS, DIMENSIONS)).astype(np.float32)
    slots[:, :PRIMITIVES] = slots[:, :PRIMITIVES] / 2 + primitives / 4
    embeddings = SplitEmbeddings()
    aligned = np.zeros((count, PRIMITIVES), np.int64)
    embeddings.add(
        Predictions(
            index=np.arange(count),
            primitives=primitives,
            present=np.ones((count, PRIMITIVES), bool),
            attention_masks=np.zeros((count, SLOTS, 1, 1), np.float32),
            slot_embeddings=slots,
            primitive_embeddings=primitives,
            aligned_slot=aligned,
            aligned_score=aligned.astype(np.float32),
            alignment=alignment,
        )
    )
    return embeddings


if __name__ == "__main__":
    raise SystemExit(main())
