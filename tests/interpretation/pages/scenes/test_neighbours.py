from __future__ import annotations

import numpy as np
import pytest

from nsi_cli.interpretation.pages.collect import collect, spread
from nsi_cli.interpretation.pages.scenes.neighbours import (
    images_for_schema,
    nearest_primitives,
    schemas_for_image,
)
from nsi_cli.support.errors import DataError


@pytest.mark.parametrize(("total", "most", "places"), [(9, 3, [0, 4, 8]), (2, 5, [0, 1])])
def test_shown_scenes_are_spread_over_the_split(total, most, places) -> None:
    assert spread(total, most) == places


def test_only_shown_scenes_are_kept_whole(split) -> None:
    batches = [split.predictions.take(range(5)), split.predictions.take(range(5, 8))]
    collected = collect(batches, [1, 6])
    assert [int(scene.index[0]) for scene in collected.scenes] == [1, 6]
    assert collected.row(collected.scenes[1]) == 6
    assert len(collected.primitives) == len(collected.embeddings) == 8


def test_a_split_without_scenes_is_refused() -> None:
    with pytest.raises(DataError, match="no scene"):
        collect([], [0])


def test_a_scenes_own_schema_and_image_come_first_where_the_model_tells_them_apart(split) -> None:
    collected = collect([split.predictions], [])
    one_object = 3
    found = images_for_schema(collected, one_object, top=3)
    assert (found.rows[0], found.own_rank, len(found.rows)) == (one_object, 1, 3)
    two_objects = 4
    found = schemas_for_image(collected, split.predictions.slot_embeddings[4], 3, own=two_objects)
    assert (found.rows[0], found.own_rank) == (two_objects, 1)
    assert found.scores == sorted(found.scores, reverse=True)


def test_an_image_of_ones_own_has_no_rank(split) -> None:
    collected = collect([split.predictions], [])
    found = schemas_for_image(collected, split.predictions.slot_embeddings[4], top=99)
    assert found.own_rank is None
    assert len(found.rows) == 8


def test_the_nearest_primitive_of_a_slot_is_the_one_it_was_made_from(split) -> None:
    collected = collect([split.predictions], [])
    near = nearest_primitives(collected, split.predictions.slot_embeddings[4])
    np.testing.assert_array_equal(near[1:3], split.predictions.primitives[4])
