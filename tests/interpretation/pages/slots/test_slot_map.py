from __future__ import annotations

import json
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np

from nsi_cli.interpretation.pages.collect import collect
from nsi_cli.interpretation.pages.slots import slot_map as module
from nsi_cli.interpretation.pages.slots.records import SlotRecords
from nsi_cli.interpretation.pages.slots.slot_map import projections, script_json, slot_map


def made(split):
    records = SlotRecords()
    collected = collect([split.predictions], [], [records])
    found = slot_map(collected, records, split.schema, split.ids, split.pictures)
    return found, json.loads(found.data), records


def test_every_slot_and_primitive_is_a_point_with_the_object_it_shows(split) -> None:
    found, data, records = made(split)
    assert (found.scenes, found.slots, found.primitives) == (8, 32, 12)
    points = data["projections"]["PCA"]
    assert len(points) == len(data["objects"]) == 44
    assert all(0 <= part <= 1 for point in points for part in point)
    shapes, heights = data["colours"]
    assert (shapes["name"], heights["name"]) == ("shape", "height")
    for number, row in enumerate(records.objects.ravel().tolist()):
        scene = number // 4
        if row < 0:
            assert (data["objects"][number], shapes["of"][number]) == ("", -1)
            continue
        primitive = split.predictions.primitives[scene, row]
        name = split.schema.properties[0].values[int(primitive[0])]
        assert data["objects"][number] == name
        assert shapes["values"][shapes["of"][number]] == name
    assert heights["range"] == ["0.00", "7.00"]
    assert data["sceneOfPrimitive"] == np.nonzero(split.predictions.present)[0].tolist()


def test_text_from_the_data_cannot_end_the_script() -> None:
    data = script_json({"name": "</script><!-- & \u2028"})
    assert not set("<>&\u2028") & set(data)
    assert json.loads(data) == {"name": "</script><!-- & \u2028"}


def test_a_large_split_is_sampled_by_whole_scenes(split, monkeypatch) -> None:
    monkeypatch.setattr(module, "MOST_POINTS", 20)
    found, data, _ = made(split)
    assert found.scenes == 3
    assert data["scenes"] == [split.ids[0], split.ids[3], split.ids[7]]
    assert found.slots + found.primitives <= 20


def test_the_projection_is_that_of_a_singular_value_decomposition() -> None:
    rng = np.random.default_rng(0)
    slots, primitives = rng.standard_normal((20, 5)) + 9, rng.standard_normal((9, 5)) - 4
    on_object = np.arange(20) < 12
    found, explained = projections(slots, on_object, primitives)
    centred = [slots - slots[on_object].mean(0), primitives - primitives.mean(0)]
    fitted = np.concatenate([centred[0][on_object], centred[1]])
    fitted = fitted - fitted.mean(0)
    _, values, axes = np.linalg.svd(fitted, full_matrices=False)
    expected = np.concatenate(centred) @ axes[:2].T
    np.testing.assert_allclose(np.abs(found["PCA"]), np.abs(expected), atol=1e-6)
    np.testing.assert_allclose(explained, (values[:2] ** 2).sum() / (values**2).sum())


def test_umap_is_a_second_projection_where_it_is_installed(monkeypatch) -> None:
    class Umap:
        def __init__(self, **options: int) -> None:
            assert options["random_state"] == 0  # the same page for the same run

        def fit_transform(self, points):
            return points[:, :2] * 3

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=Umap))
    rng = np.random.default_rng(0)
    slots, primitives = rng.standard_normal((20, 5)), rng.standard_normal((9, 5))
    found, _ = projections(slots, np.ones(20, bool), primitives)
    assert list(found) == ["PCA", "UMAP"]
    np.testing.assert_allclose(found["UMAP"][:20], 3 * (slots - slots.mean(0))[:, :2])
    few, _ = projections(slots[:3], np.ones(3, bool), primitives)
    assert list(few) == ["PCA"]  # too few points for its neighbourhoods


def test_slots_without_any_object_still_make_a_map(split) -> None:
    nothing = replace(split.predictions, true_masks=np.zeros_like(split.predictions.true_masks))
    found, data, _ = made(replace(split, predictions=nothing))
    assert found.slots == 32
    assert set(data["objects"][:32]) == {""}


def test_scenes_without_objects_make_a_map_of_slots_alone(split) -> None:
    empty = replace(
        split.predictions,
        present=np.zeros_like(split.predictions.present),
        true_masks=np.zeros_like(split.predictions.true_masks),
    )
    found, data, _ = made(replace(split, predictions=empty))
    assert (found.slots, found.primitives) == (32, 0)
    assert data["colours"][0]["values"] == []
