"""Property retrieval: find the images that have an object with some given properties."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, islice
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import hypergeom

from nsi_cli.evaluation import DEPTHS
from nsi_cli.evaluation.bootstrap import mean_with_interval, null_with_interval
from nsi_cli.evaluation.candidates import OPEN, candidates, has_values, with_range
from nsi_cli.evaluation.metrics.metric import Metric
from nsi_cli.evaluation.predict import EncodePrimitives
from nsi_cli.evaluation.predictions import Bools, Floats, Ints, Predictions
from nsi_cli.schema import Schema

MOST_QUERIES = 200
"""Maximum number of queries of each set of properties; a seeded sample if there are more."""

REPETITIONS = 8
"""Number of repetitions of the null."""

_MOST_PRODUCTS = 2**24
"""Maximum number of dot products held at once."""

Numbers = npt.NDArray[np.float64]


class PropertyRetrieval(Metric):
    """Mean average precision and R@k of queries that give one or two properties of an object.

    A query is a value of one categorical property, or of each of two. An image is relevant if one
    of its objects has all given values; a query needs a relevant image and an irrelevant one. The
    result of a query is a ranking of all images of the split. The score of an image is the mean
    over the query's completions (`nsi_cli.evaluation.candidates`), each with its best slot.
    Continuous values are spread over their range in the split.

    R@k is the share of queries with a relevant image among the first k, in expectation if equal
    scores are ordered at random. Intervals are over queries. ``null`` exchanges the images of a
    ranking with others that have the same number of objects, because an image with many objects
    is relevant more often.
    """

    def __init__(
        self,
        schema: Schema,
        encode_primitives: EncodePrimitives | None,
        *,
        seed: int = 0,
        excluded: Sequence[str] = (),
    ) -> None:
        self._schema, self._encode, self._seed = schema, encode_primitives, seed
        self._excluded = excluded
        self._slots: list[Floats] = []
        self._primitives: list[Floats] = []
        self._present: list[Bools] = []

    def update(self, predictions: Predictions) -> None:
        """Add the slots and the annotation of a batch."""
        self._slots.append(predictions.slot_embeddings.copy())
        self._primitives.append(predictions.primitives.copy())
        self._present.append(predictions.present.copy())

    def compute(self) -> dict[str, Any]:
        """The measures of each set of properties; empty without an encoder or a query."""
        result: dict[str, Any] = {"property_retrieval": {}}
        if self._encode is None or not self._slots:
            return result
        slots, primitives = np.concatenate(self._slots), np.concatenate(self._primitives)
        present = np.concatenate(self._present)
        ids = primitives[..., : len(self._schema.categorical)]
        queries = dict(self._queries(ids, present))
        if not queries:
            return result
        every = np.concatenate(list(queries.values()))
        found = candidates(
            with_range(self._schema, primitives[present]),
            self._encode,
            every,
            excluded=self._excluded,
            seed=self._seed,
        )
        scores = image_scores(slots, found.embeddings)  # (M, n)
        shuffled = np.stack(list(self._exchanges(present.sum(1))))
        rows = iter(found.completions)
        for name, partial in queries.items():
            relevant = _relevant(partial, ids, present)  # (Q, n)
            means = np.stack([scores[own].mean(0) for own in islice(rows, len(partial))])
            result["property_retrieval"][name] = self._measures(means, relevant, shuffled)
        return result

    def _queries(self, ids: Floats, present: Bools) -> Iterator[tuple[str, Ints]]:
        """The queries (Q, columns) of each set of one or two properties, by its name."""
        generator = np.random.default_rng(self._seed)
        names = [item.name for item in self._schema.categorical]
        kept = [column for column, name in enumerate(names) if name not in self._excluded]
        for chosen in (*combinations(kept, 1), *combinations(kept, 2)):
            partial = np.full((int(present.sum()), len(names)), OPEN)
            partial[:, chosen] = ids[present][:, chosen]
            partial = np.unique(partial[(partial[:, chosen] >= 0).all(1)], axis=0)
            everywhere = _relevant(partial, ids, present).all(1)
            partial = partial[~everywhere]
            if len(partial) > MOST_QUERIES:
                partial = partial[np.sort(generator.choice(len(partial), MOST_QUERIES, False))]
            if len(partial):
                yield " + ".join(names[column] for column in chosen), partial

    def _exchanges(self, objects: Ints) -> Iterator[Ints]:
        """Random orders of the images (n,) that keep the number of objects at each position."""
        generator = np.random.default_rng((self._seed, 2))
        places = np.argsort(objects, kind="stable")
        for _ in range(REPETITIONS):
            order = np.empty(len(objects), np.int64)
            order[places] = np.lexsort((generator.random(len(objects)), objects))
            yield order

    def _measures(self, scores: Floats, relevant: Bools, shuffled: Ints) -> dict[str, Any]:
        """The measures of Q queries from scores and relevance (Q, n)."""
        columns = [
            measures(row, np.concatenate([own[None], own[shuffled]]))
            for row, own in zip(scores, relevant, strict=True)
        ]
        values = np.stack(columns, 1)  # (measures, Q, 1 + repetitions)
        ones = np.ones((len(scores), 1))
        result: dict[str, Any] = {"queries": len(scores)}
        for name, of_queries in zip(NAMES, values, strict=True):
            measured = mean_with_interval(of_queries[:, 0], share=True, seed=self._seed)
            null = null_with_interval(of_queries[:, 1:], ones, seed=self._seed)
            result[name] = {**(measured or {}), "null": null}
        return result


NAMES = ("mAP", *(f"R@{depth}" for depth in DEPTHS))
"""The names of the rows that `measures` returns."""


def _relevant(partial: Ints, ids: Floats, present: Bools) -> Bools:
    """Which images have an object with all given values, (Q, n)."""
    relevant = [has_values(ids, query) & present for query in partial]  # (n, T) each
    return np.asarray(np.array(relevant).reshape(len(partial), *present.shape).any(-1))


def image_scores(slots: Floats, candidates: Floats) -> Floats:
    """The score (M, n) of each image's best slot, from slots (n, K, E) and candidates (M, P, E).

    It is the mean over the P points of each combination of values.
    """
    combinations, points, size = candidates.shape
    columns = candidates.reshape(-1, size).T
    scores = np.empty((combinations, len(slots)), np.float32)
    step = max(1, _MOST_PRODUCTS // (slots.shape[1] * columns.shape[1]))
    for start in range(0, len(slots), step):
        best = (slots[start : start + step] @ columns).max(1)  # (images, M·P)
        scores[:, start : start + step] = best.reshape(-1, combinations, points).mean(2).T
    return scores


def measures(scores: Floats, relevant: Bools) -> Numbers:
    """Average precision and R@k (4, D) of one ranking, for D versions of relevance (D, n).

    Average precision is that of scikit-learn: the precision at each distinct score, weighted by
    the recall that the score adds.
    """
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)  # of equal scores
    hits = relevant[:, order].cumsum(1)[:, ends].astype(float)
    added = np.diff(hits, axis=1, prepend=0)
    precision = (added * hits / (ends + 1)).sum(1) / hits[:, -1]
    return np.stack([precision, *(_hit_rate(hits, added, ends, depth) for depth in DEPTHS)])


def _hit_rate(hits: Numbers, added: Numbers, ends: Ints, depth: int) -> Numbers:
    """The probability (D,) of a relevant image among the first ``depth``.

    ``hits`` (D, groups) counts the relevant images up to the end of each group of equal scores,
    and ``added`` those in the group. ``ends`` is the last position of each group.
    """
    group = min(int(np.searchsorted(ends, depth - 1)), len(ends) - 1)  # the last one reached
    start = 0 if group == 0 else int(ends[group - 1]) + 1
    size, drawn = int(ends[group]) + 1 - start, min(depth, int(ends[-1]) + 1) - start
    none = hypergeom.pmf(0, size, added[:, group].astype(int), drawn)
    before = hits[:, group] - added[:, group]
    return np.where(before > 0, 1.0, 1 - none)
