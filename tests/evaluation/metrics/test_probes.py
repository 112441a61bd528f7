from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nsi_cli.evaluation import bootstrap
from nsi_cli.evaluation.bootstrap import resampled
from nsi_cli.evaluation.metrics.probes import probes
from nsi_cli.evaluation.metrics.probes.objects import ObjectSample, mask_weights, matched_slots
from nsi_cli.evaluation.metrics.probes.probes import Probes
from nsi_cli.evaluation.metrics.probes.scores import categorical_scores, continuous_scores
from nsi_cli.schema import Continuous, Schema


def oracle(primitives: np.ndarray) -> np.ndarray:
    """Shape as one-hot and place as it is, from primitives (B, 3, 3) to (B, 3, 6)."""
    shape = np.eye(4, dtype=np.float32)[primitives[..., 0].astype(int)]
    return np.concatenate([shape, np.nan_to_num(primitives[..., 1:])], -1)


def scenes_with(make_predictions, scenes: int = 100, encode=oracle, seed: int = 0, **given):
    """Object i has a row of the grid, with a slot and tokens of its encoding; slots are shuffled.

    The last of four slots is the background's.
    """
    predictions = make_predictions(scenes, seed=seed, **given)
    encoded = np.pad(encode(predictions.primitives).astype(np.float32), ((0, 0), (0, 1), (0, 0)))
    order = np.random.default_rng(seed).permuted(np.tile(np.arange(4), (scenes, 1)), axis=1)
    masks = (order[..., None, None] == np.arange(4)[:, None]) * np.ones(4)
    rows = np.arange(8)[:, None] // 2 + 1  # object i on rows 2i − 2 and 2i − 1
    true = np.where(rows <= predictions.present.sum(1)[:, None, None], rows, 0)
    return replace(
        predictions,
        slots=np.take_along_axis(encoded, order[..., None], 1),
        tokens=np.repeat(encoded[:, :, None], 4, 2),
        true_masks=np.broadcast_to(true, (scenes, 8, 8)).astype(np.uint8),
        attention_masks=masks.astype(np.float32),
    )


def measured(tested, trained, schema, **options) -> dict:
    metric = Probes(schema, lambda: iter([trained]), **options)
    metric.update(tested)
    return metric.compute()["probes"]


def value(found: dict, kind: str, probe: str, score: str) -> float:
    return found[kind][probe][score]["value"]


def test_a_property_that_the_slots_hold_is_read_by_both_probes(make_predictions, schema) -> None:
    tested, trained = (scenes_with(make_predictions, seed=seed) for seed in (0, 1))
    found = measured(tested, trained, schema)
    for kind in ("slots", "features"):
        for probe in ("linear", "mlp"):
            assert value(found["shape"], kind, probe, "accuracy") == 1
            assert value(found["shape"], kind, probe, "macro_f1") == 1
            assert value(found["place"], kind, probe, "r2") > 0.95
            assert value(found["place"], kind, probe, "mean_error") < 0.2
    for probe in ("linear", "mlp"):
        assert value(found["shape"], "random_slots", probe, "accuracy") < 0.6
        assert value(found["place"], "random_slots", probe, "r2") < 0.5


def test_the_result_has_the_objects_of_both_splits(make_predictions, schema) -> None:
    tested, trained = scenes_with(make_predictions), scenes_with(make_predictions, 50, seed=1)
    found = measured(tested, trained, schema)
    assert set(found) == {"shape", "place"}
    for measure in found.values():
        assert list(measure) == ["slots", "features", "random_slots", "objects", "trained_on"]
        assert measure["objects"] == tested.present.sum()
        assert measure["trained_on"] == trained.present.sum()
    assert set(found["place"]["slots"]["mlp"]["r2"]) == {"value", "ci95"}


@pytest.mark.slow
def test_a_property_of_a_single_number_is_read(make_predictions) -> None:
    schema = Schema((Continuous("weight"), Continuous("place", 2)), max_objects=3)
    tested, trained = (scenes_with(make_predictions, seed=seed) for seed in (0, 1))
    found = measured(tested, trained, schema)["weight"]
    for probe in ("linear", "mlp"):
        assert value(found, "slots", probe, "r2") > 0.95


@pytest.mark.slow
def test_from_noise_a_probe_guesses_the_most_frequent_value(make_predictions, schema) -> None:
    rng = np.random.default_rng(0)

    def noise(primitives: np.ndarray) -> np.ndarray:
        primitives[..., 0] = rng.choice(4, size=(400, 3), p=(0.7, 0.1, 0.1, 0.1))
        return rng.standard_normal((400, 3, 8))

    tested, trained = (scenes_with(make_predictions, 400, noise, seed) for seed in (0, 1))
    found = measured(tested, trained, schema)
    assert value(found["shape"], "slots", "linear", "accuracy") == pytest.approx(0.7, abs=0.06)
    assert value(found["place"], "slots", "linear", "r2") == pytest.approx(0, abs=0.06)


@pytest.mark.slow
def test_the_mlp_reads_what_no_linear_probe_can(make_predictions, schema) -> None:
    rng = np.random.default_rng(0)

    def parity(primitives: np.ndarray) -> np.ndarray:
        bits = rng.integers(2, size=(*primitives.shape[:2], 2))
        primitives[..., 0] = bits.sum(-1) % 2
        return bits + 0.1 * rng.standard_normal(bits.shape)

    tested, trained = (scenes_with(make_predictions, 150, parity, seed) for seed in (0, 1))
    found = measured(tested, trained, schema)["shape"]
    assert value(found, "slots", "linear", "accuracy") < 0.8  # 0.75 with three of four corners
    assert value(found, "slots", "mlp", "accuracy") > 0.97


def test_categorical_scores_are_those_of_scikit_learn() -> None:
    from sklearn.metrics import accuracy_score, f1_score

    rng = np.random.default_rng(0)
    for _ in range(20):
        true, predicted = rng.integers(3, size=30), rng.choice([0, 1, 5], size=30)
        found = categorical_scores(true, predicted, rng.integers(9, size=30))
        expected = f1_score(true, predicted, average="macro", zero_division=0)
        assert found["accuracy"]["value"] == pytest.approx(accuracy_score(true, predicted))
        assert found["macro_f1"]["value"] == pytest.approx(expected)


def test_continuous_scores_are_those_of_scikit_learn() -> None:
    from sklearn.metrics import r2_score

    rng = np.random.default_rng(0)
    for size in (1, 3):
        true = 1000 + rng.standard_normal((30, size))
        predicted = true + rng.standard_normal((30, size))
        found = continuous_scores(true, predicted, rng.integers(9, size=30))
        distance = np.sqrt(((true - predicted) ** 2).sum(1)).mean()
        assert found["r2"]["value"] == pytest.approx(r2_score(true, predicted))
        assert found["mean_error"]["value"] == pytest.approx(distance)


def test_intervals_are_those_of_resampled_scenes(monkeypatch) -> None:
    from sklearn.metrics import f1_score, r2_score

    monkeypatch.setattr(bootstrap, "RESAMPLES", 40)
    rng = np.random.default_rng(0)
    scene, true, predicted = np.repeat(np.arange(20), 3), *rng.integers(4, size=(2, 60))
    numbers = rng.standard_normal((2, 60, 2))
    draws = [np.concatenate([np.flatnonzero(scene == one) for one in row])
             for rows in resampled(20, 7) for row in rows]  # fmt: skip
    f1 = [f1_score(true[rows], predicted[rows], average="macro", zero_division=0) for rows in draws]
    r2 = [r2_score(numbers[0, rows], numbers[1, rows]) for rows in draws]
    for found, expected in (
        (categorical_scores(true, predicted, scene, seed=7)["macro_f1"], f1),
        (continuous_scores(*numbers, scene, seed=7)["r2"], r2),
    ):
        assert found["ci95"] == pytest.approx(np.percentile(expected, (2.5, 97.5)))


def test_a_constant_component_has_no_r2() -> None:
    true = np.array([[1.0, 0.1], [2.0, 0.1], [4.0, 0.1]])
    predicted = true + np.array([0.5, 0.5])
    scene = np.arange(3)
    both, first = (continuous_scores(true[:, :n], predicted[:, :n], scene) for n in (2, 1))
    assert both["r2"] == first["r2"]
    assert continuous_scores(true[:, 1:], predicted[:, 1:], scene)["r2"] is None


def test_each_slot_is_matched_to_one_object_at_most() -> None:
    ratios = np.array([[0.6, 0.5, 0.0], [0.7, 0.0, 0.0], [0.0, 0.0, 0.0]])
    assert matched_slots(ratios).tolist() == [1, 0, -1]
    assert sorted(matched_slots(np.array([[0.2], [0.4], [0.3]])).tolist()) == [-1, -1, 0]


def test_the_slot_of_an_object_is_found_by_its_mask(make_predictions) -> None:
    predictions = scenes_with(make_predictions)
    sample = ObjectSample(0)
    sample.add(predictions)
    expected = oracle(predictions.primitives)[predictions.present]
    np.testing.assert_array_equal(sample.objects().vectors["slots"], expected)
    np.testing.assert_allclose(sample.objects().vectors["features"], expected, atol=1e-6)


@pytest.mark.slow
def test_an_object_without_a_slot_of_its_own_is_left_out(make_predictions, schema) -> None:
    predictions = scenes_with(make_predictions)
    hidden = predictions.true_masks.copy()
    hidden[hidden == 1] = 0
    found = measured(replace(predictions, true_masks=hidden), predictions, schema)
    assert found["shape"]["objects"] == predictions.present[:, 1:].sum()
    one_slot = np.ones_like(predictions.attention_masks)
    one_slot[:, 1:] = 0
    found = measured(replace(predictions, attention_masks=one_slot), predictions, schema)
    assert found["shape"]["objects"] == len(predictions)
    nowhere = np.zeros_like(predictions.true_masks)
    assert measured(replace(predictions, true_masks=nowhere), predictions, schema) == {}


@pytest.mark.slow
def test_slot_masks_come_before_attention_masks(make_predictions, schema) -> None:
    predictions = scenes_with(make_predictions)
    swapped = replace(
        predictions,
        slot_masks=predictions.attention_masks,
        attention_masks=predictions.attention_masks[:, ::-1],
    )
    assert measured(swapped, swapped, schema) == measured(predictions, predictions, schema)


@pytest.mark.parametrize(("side", "grid"), [(8, (4, 4)), (7, (3, 3)), (5, (2, 4)), (3, (4, 4))])
def test_mask_weights_are_shares_of_area(side: int, grid: tuple[int, int]) -> None:
    mask = np.random.default_rng(0).integers(3, size=(side, side)).astype(np.uint8)
    weights = mask_weights(mask, np.array([0, 1, 2]), grid)
    assert weights.shape == (3, *grid)
    np.testing.assert_allclose(weights.sum(0), 1, atol=1e-6)
    fine = np.kron(mask, np.ones(grid, np.uint8))  # side × grid pixels: a multiple of both
    blocks = (fine == 1).reshape(grid[0], side, grid[1], side).mean((1, 3))
    np.testing.assert_allclose(weights[1], blocks, atol=1e-6)


def test_random_slots_are_any_slots_of_the_same_image(make_predictions) -> None:
    predictions = scenes_with(make_predictions, 200)
    marked = np.broadcast_to(np.arange(200)[:, None, None], (200, 4, 1)) * 4.0
    sample = ObjectSample(0)
    sample.add(replace(predictions, slots=marked + np.arange(4)[:, None]))
    objects = sample.objects()
    scene, slot = np.divmod(objects.vectors["random_slots"][:, 0], 4)
    np.testing.assert_array_equal(scene, objects.scene)
    assert np.bincount(slot.astype(int)).min() > len(objects) / 6


@pytest.mark.slow
def test_batches_and_their_order_do_not_matter(make_predictions, schema, monkeypatch) -> None:
    monkeypatch.setattr(probes, "TRAINING_OBJECTS", 60)
    tested, trained = (scenes_with(make_predictions, 40, seed=seed) for seed in (0, 1))
    starts = list(reversed(range(0, 40, 7)))

    def parts(predictions):
        return [predictions.take(range(start, min(start + 7, 40))) for start in starts]

    metric = Probes(schema, lambda: parts(trained))
    for part in parts(tested):
        metric.update(part)
    found = metric.compute()["probes"]
    assert found == measured(tested, trained, schema)
    assert found["shape"]["trained_on"] == 60
    assert found != measured(tested, trained, schema, seed=1)


def test_no_batch_is_kept_in_memory(make_predictions) -> None:
    predictions = scenes_with(make_predictions)
    sample = ObjectSample(0)
    sample.add(predictions)
    kept = sample._batches[0]
    for array in (kept.scene, kept.row, kept.number, kept.primitives, *kept.vectors.values()):
        assert array.base is None or array.base.size <= 2 * array.size
        assert not any(
            np.shares_memory(array, given)
            for given in vars(predictions).values()
            if isinstance(given, np.ndarray)
        )


def test_missing_values_are_left_out_of_their_property_only(make_predictions, schema) -> None:
    predictions = scenes_with(make_predictions)
    primitives = predictions.primitives.copy()
    primitives[:20, :, 0] = -1
    primitives[20:, :, 2] = np.nan
    missing = replace(predictions, primitives=primitives)
    found = measured(missing, missing, schema)
    assert found["shape"]["objects"] == predictions.present[20:].sum()
    assert found["place"]["objects"] == predictions.present[:20].sum()


@pytest.mark.slow
def test_a_property_that_cannot_be_measured_is_left_out(make_predictions, schema) -> None:
    predictions = scenes_with(make_predictions)
    unknown, single = predictions.primitives.copy(), predictions.primitives.copy()
    unknown[..., 0], single[..., 0] = -1, 2
    for primitives in (unknown, single):
        found = measured(predictions, replace(predictions, primitives=primitives), schema)
        assert list(found) == ["place"]
    assert list(measured(replace(predictions, primitives=unknown), predictions, schema)) == [
        "place"
    ]
    assert set(measured(replace(predictions, primitives=single), predictions, schema)) == {
        "shape", "place",
    }  # fmt: skip


def test_without_masks_or_a_train_split_nothing_is_measured(make_predictions, schema) -> None:
    predictions = scenes_with(make_predictions, 6)
    without = replace(predictions, true_masks=None)
    assert measured(without, predictions, schema) == {}
    assert measured(predictions, without, schema) == {}
    for train in (None, list):
        metric = Probes(schema, train)
        metric.update(predictions)
        assert metric.compute() == {"probes": {}}
    assert Probes(schema, lambda: [predictions]).compute() == {"probes": {}}


def test_vectors_that_are_missing_or_not_finite_are_left_out(make_predictions, schema) -> None:
    predictions = scenes_with(make_predictions, 20)
    without = replace(predictions, tokens=None)
    assert set(measured(without, without, schema)["shape"]) == {
        "slots", "random_slots", "objects", "trained_on",
    }  # fmt: skip
    without = replace(predictions, slots=np.full_like(predictions.slots, np.nan))
    assert set(measured(without, without, schema)["shape"]) == {
        "features", "objects", "trained_on",
    }  # fmt: skip
    without = replace(without, tokens=None)
    assert measured(without, without, schema) == {}


@pytest.mark.parametrize("trained", [2, 40])
def test_one_object_is_enough_to_test(make_predictions, schema, trained: int) -> None:
    tested = scenes_with(make_predictions, 1, present=np.array([[True, False, False]]))
    found = measured(tested, scenes_with(make_predictions, trained, seed=4), schema)
    assert found["place"]["objects"] == 1
    assert found["place"]["slots"]["linear"]["r2"] is None
    assert found["place"]["slots"]["linear"]["mean_error"]["value"] > 0


def test_a_value_that_was_not_trained_on_is_a_miss(make_predictions, schema) -> None:
    tested, trained = (scenes_with(make_predictions, seed=seed) for seed in (0, 1))
    primitives = trained.primitives.copy()
    primitives[..., 0] %= 2
    found = measured(tested, replace(trained, primitives=primitives), schema)["shape"]
    shapes = tested.primitives[tested.present][:, 0]
    assert value(found, "slots", "linear", "accuracy") == pytest.approx((shapes < 2).mean())


def test_constant_features_do_no_harm(make_predictions, schema) -> None:
    def constant(primitives: np.ndarray) -> np.ndarray:
        return np.ones((*primitives.shape[:2], 3))

    predictions = scenes_with(make_predictions, 40, constant)
    found = measured(predictions, predictions, schema)
    most = np.bincount(predictions.primitives[predictions.present][:, 0].astype(int)).max()
    accuracy = value(found["shape"], "slots", "linear", "accuracy")
    assert accuracy == pytest.approx(most / predictions.present.sum())
