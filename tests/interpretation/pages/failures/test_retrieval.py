from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nsi_cli.evaluation.metrics.retrieval import Retrieval
from nsi_cli.interpretation.pages.collect import collect
from nsi_cli.interpretation.pages.failures.retrieval import wrong_retrievals


@pytest.fixture
def confused(split):
    """The split, with the slots of scenes 0 and 5 exchanged."""
    slots = split.predictions.slot_embeddings.copy()
    slots[[0, 5]] = slots[[5, 0]]
    return replace(split, predictions=replace(split.predictions, slot_embeddings=slots))


def ranks_of(split):
    metric = Retrieval()
    metric.update(split.predictions)
    metric.compute()
    return metric.scenes()["image_to_schema_rank"]


def test_the_schema_in_place_of_the_own_one_is_explained_object_by_object(confused) -> None:
    ranks = ranks_of(confused)
    collected = collect([confused.predictions], [])
    found = wrong_retrievals(collected, ranks, confused.schema)
    assert {one.row for one in found} == set(np.flatnonzero(ranks > 1).tolist())
    for one in found:
        slots = confused.predictions.slot_embeddings[one.row]
        for side, row in ((one.own, one.row), (one.retrieved, one.other)):
            present = confused.predictions.present[row]
            products = slots @ confused.predictions.primitive_embeddings[row][present].T
            expected = sorted(products.max(0).tolist(), reverse=True)
            np.testing.assert_allclose([part.score for part in side], expected, atol=1e-6)
        assert one.margin > 0
        assert one.rank > 1
        decisive = [part for part in one.retrieved if part.decisive]
        unlike = [part for part in one.retrieved if not part.alike]
        assert decisive == unlike[:1]
        assert not any(part.decisive for part in one.own)


def test_right_retrievals_are_not_shown(split) -> None:
    collected = collect([split.predictions], [])
    assert wrong_retrievals(collected, np.ones(8), split.schema) == []
    # Ranks of another evaluation: the scene's own schema is the best one now.
    assert wrong_retrievals(collected, np.full(8, 3.0), split.schema) == []
