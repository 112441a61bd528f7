"""The scenes of a split: by index and in order, with slots, alignment and scores."""

from __future__ import annotations

import json

import numpy as np
import pytest

import nsi_cli
from nsi_cli.interpretation.loaded_run import LoadedRun
from nsi_cli.support.errors import DataError


def test_a_scene_holds_what_the_model_predicts_for_it(any_run: LoadedRun) -> None:
    scenes = any_run.scenes("test")
    (batch,) = any_run.predictions("test", 100)
    labels, lengths = any_run.store.primitives("test")
    assert len(scenes) == len(batch)
    for index, scene in enumerate(scenes):
        count = lengths[index]
        assert (scene.index, scene.id) == (index, any_run.store.ids("test")[index])
        np.testing.assert_array_equal(scene.image, any_run.store.images("test", [index])[0])
        assert list(scene.objects) == any_run.run.schema.decode(labels[index, :count])
        np.testing.assert_array_equal(scene.masks, batch.masks[index])
        np.testing.assert_array_equal(scene.aligned_slot, batch.aligned_slot[index, :count])
        assert scene.score == pytest.approx(batch.aligned_score[index, :count].sum(), abs=1e-4)
        with_slot = np.flatnonzero(scene.aligned_slot >= 0)
        np.testing.assert_allclose(
            scene.scores[with_slot, scene.aligned_slot[with_slot]],
            scene.aligned_score[with_slot],
            rtol=1e-4,
            atol=1e-4,
        )
        assert (scene.true_mask is None) == (not any_run.store.has_masks)
        assert (scene.slot_masks is None) == (batch.slot_masks is None)


def test_a_scene_is_the_same_by_index_and_in_order(any_run: LoadedRun) -> None:
    scenes = any_run.scenes("test")
    for one, other in zip(scenes[1:4], list(scenes)[1:4], strict=True):
        assert (one.id, one.objects) == (other.id, other.objects)
        for part in ("image", "masks", "slot_embeddings", "object_embeddings", "aligned_slot"):
            np.testing.assert_allclose(
                getattr(one, part), getattr(other, part), rtol=1e-4, atol=1e-4
            )
    assert scenes[-1].index == len(scenes) - 1
    with pytest.raises(IndexError):
        scenes[len(scenes)]


def test_results_are_plain_values_and_columns_of_one_length(any_run: LoadedRun) -> None:
    scenes = any_run.scenes("test")
    found = scenes[0]
    plain = json.loads(json.dumps(found.to_dict()))
    assert [one["slot"] for one in plain["objects"]] == found.aligned_slot.tolist()
    assert [len(row) for row in plain["scores"]] == [len(found.masks)] * len(found.objects)
    assert [len(column) for column in found.columns().values()] == [len(found.objects)] * 7
    assert len(scenes.to_dict()) == len(scenes)
    assert repr(scenes) == f"{len(scenes)} scenes of the split test"


@pytest.mark.slow
def test_an_object_without_a_slot_is_drawn_too(few_slots) -> None:
    run = nsi_cli.load_run(few_slots)
    (crowded, *_) = (scene for scene in run.scenes("test") if (scene.aligned_slot < 0).any())
    titles = [axes.get_title() for axes in crowded.plot().axes]
    assert sum("no slot" in title for title in titles) == len(crowded.objects) - 3
    assert len(run.scenes("test").plot().axes) == 2 * min(8, len(run.scenes("test")))


def test_an_unknown_split_is_an_error_at_once(any_run: LoadedRun) -> None:
    with pytest.raises(DataError, match="no split 'tset'"):
        any_run.scenes("tset")
