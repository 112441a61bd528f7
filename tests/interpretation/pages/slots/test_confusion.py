from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nsi_cli.evaluation.oracle import Oracle
from nsi_cli.interpretation.pages.slots import confusion as module
from nsi_cli.interpretation.pages.slots.confusion import ConfusionTally
from nsi_cli.interpretation.slot_descriptions import Reader


def tally(split, encode, predictions) -> list:
    counted = ConfusionTally(split.schema, Reader.of(split.schema, encode, tau=0.01))
    for rows in (range(3), range(3, 8)):
        counted.add(predictions.take(rows))
    return counted.matrices()


def test_slots_that_hold_objects_are_read_as_their_true_values(split) -> None:
    oracle = Oracle(split.schema)
    (predictions,) = oracle.predictions([split.predictions])
    (shapes,) = tally(split, oracle.encode, predictions)
    ids = split.predictions.primitives[..., 0][split.predictions.present].astype(int)
    np.testing.assert_array_equal(shapes.counts, np.diag(np.bincount(ids, minlength=3)))
    assert (shapes.name, shapes.accuracy) == ("shape", 1)
    assert shapes.values == ("cube", "ball", "<b>cone</b>")


def test_exchanged_slots_are_read_as_each_others_values(split) -> None:
    oracle = Oracle(split.schema)
    (predictions,) = oracle.predictions([split.predictions])
    slots = predictions.slot_embeddings[:, [0, 2, 1]]  # each pair of objects exchanged
    (shapes,) = tally(split, oracle.encode, replace(predictions, slot_embeddings=slots))
    expected = np.zeros((3, 3), int)
    for scene, present in zip(split.predictions.primitives, split.predictions.present, strict=True):
        if present.all():
            first, second = scene[:, 0].astype(int)
            expected[first, second] += 1
            expected[second, first] += 1
    pairs = split.predictions.present.all(1)
    lone = shapes.counts.sum() - 2 * pairs.sum()
    assert lone == (~pairs).sum()
    assert (shapes.counts >= expected).all()
    assert shapes.shares.sum(1) == pytest.approx((shapes.counts.sum(1) > 0).astype(float))


def test_without_true_masks_or_known_values_there_is_no_matrix(split, monkeypatch) -> None:
    oracle = Oracle(split.schema)
    (predictions,) = oracle.predictions([split.predictions])
    assert tally(split, oracle.encode, replace(predictions, true_masks=None)) == []
    unknown = predictions.primitives.copy()
    unknown[..., 0] = -1
    assert tally(split, oracle.encode, replace(predictions, primitives=unknown)) == []
    monkeypatch.setattr(module, "MOST_VALUES", 2)
    assert tally(split, oracle.encode, predictions) == []
