from __future__ import annotations

import numpy as np
import pytest

from nsi_cli.evaluation.properties import Properties


def embed(primitives: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Shape as one-hot, place as a point on a paraboloid: dot products fall with distance."""
    shape = np.eye(4, dtype=np.float32)[primitives[..., 0].astype(int)]
    place = np.nan_to_num(primitives[..., 1:])
    return np.concatenate([shape, 2 * place, -(place**2).sum(-1, keepdims=True)], -1)


def as_slot(embedded: np.ndarray) -> np.ndarray:
    """The slot that a primitive fits best: dot products are then 2ab − b², largest at b = a."""
    return np.concatenate(
        [embedded[..., :4], embedded[..., 4:6] / 2, embedded[..., :1] * 0 + 1], -1
    )


def seeing(make_findings, scenes: int = 40, **given):
    findings = make_findings(scenes, slots=3, **given)
    slots = as_slot(embed(findings.primitives, findings.present)).astype(np.float32)
    return make_findings(
        scenes,
        slots=3,
        slot_embeddings=slots,
        aligned_slot=np.tile(np.arange(3), (scenes, 1)),
        **given,
    )


def test_a_model_that_sees_every_property_reads_it_off(make_findings, schema) -> None:
    metric = Properties(schema, embed)
    metric.update(seeing(make_findings))
    found = metric.compute()["properties"]
    assert found["shape"]["value"] == 1
    assert found["shape"]["measure"] == "accuracy"
    assert found["shape"]["chance"] == 0.25
    assert found["place"]["value"] == pytest.approx(1, abs=0.01)
    assert found["place"]["measure"] == "percentile"


def test_a_model_that_sees_nothing_is_at_chance(make_findings, schema) -> None:
    findings = make_findings(300, slot_embeddings=np.ones((300, 4, 7), np.float32))
    rng = np.random.default_rng(0)

    def noise(primitives: np.ndarray, present: np.ndarray) -> np.ndarray:
        return rng.standard_normal((*present.shape, 7))

    metric = Properties(schema, noise)
    metric.update(findings)
    found = metric.compute()["properties"]
    assert found["shape"]["value"] == pytest.approx(0.25, abs=0.07)
    assert found["place"]["value"] == pytest.approx(0.5, abs=0.07)


def test_a_model_blind_to_a_property_does_not_get_it_by_ties(make_findings, schema) -> None:
    def blind(primitives: np.ndarray, present: np.ndarray) -> np.ndarray:
        return np.ones((*present.shape, 7))

    metric = Properties(schema, blind)
    metric.update(seeing(make_findings))
    found = metric.compute()["properties"]
    assert found["shape"]["value"] == 0
    assert found["place"]["value"] == 0.5


def test_missing_values_are_left_out_of_their_property_only(make_findings, schema) -> None:
    primitives = make_findings(40).primitives.copy()
    primitives[:20, :, 0] = -1
    primitives[20:, :, 1:] = np.nan
    metric = Properties(schema, embed)
    findings = seeing(make_findings, primitives=primitives)
    metric.update(findings)
    found = metric.compute()["properties"]
    assert found["shape"]["primitives"] == findings.present[20:].sum()
    assert found["place"]["primitives"] == findings.present[:20].sum()


def test_the_sample_is_capped_and_does_not_depend_on_batches(make_findings, schema) -> None:
    findings = seeing(make_findings)
    whole, parts = Properties(schema, embed, most=10), Properties(schema, embed, most=10)
    whole.update(findings)
    for start in range(0, 40, 7):
        parts.update(findings.take(range(start, min(start + 7, 40))))
    assert whole.compute() == parts.compute()
    assert whole.compute()["properties"]["shape"]["primitives"] == 10


def test_a_property_that_the_model_does_not_see_has_no_measure(make_findings, schema) -> None:
    metric = Properties(schema, embed, without=["place"])
    metric.update(seeing(make_findings))
    assert list(metric.compute()["properties"]) == ["shape"]


def test_objects_that_no_slot_was_left_for_are_not_asked_about(make_findings, schema) -> None:
    findings = seeing(make_findings)
    findings.aligned_slot[:20] = -1
    metric = Properties(schema, embed)
    metric.update(findings)
    found = metric.compute()["properties"]["shape"]
    assert found["primitives"] == findings.present[20:].sum()
    assert found["value"] == 1
