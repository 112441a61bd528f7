from __future__ import annotations

import numpy as np

from nsi_cli.interpretation.pages.slots.ranges import STOPS, range_searches, ranges
from nsi_cli.schema import Categorical, Continuous, Schema

SCHEMA = Schema(
    (Categorical("shape", ("cube", "ball")), Continuous("place", 2, (0.0, 10.0), (4.0, 20.0))), 2
)


def encode(primitives, present):
    return np.repeat(primitives, 4, -1)


def test_each_component_is_searched_from_its_lowest_to_its_highest_value() -> None:
    searches = range_searches(SCHEMA, SCHEMA, encode)
    assert [one.title for one in searches] == ["place, 1 of 2"] * STOPS + ["place, 2 of 2"] * STOPS
    np.testing.assert_allclose([one.value for one in searches[:STOPS]], np.linspace(0, 4, STOPS))
    np.testing.assert_allclose([one.value for one in searches[STOPS:]], np.linspace(10, 20, STOPS))
    query = searches[1].search.query
    assert query.numbers == {SCHEMA.columns["place"].start: searches[1].value}
    assert range_searches(SCHEMA, SCHEMA, encode, ["place"]) == []


def test_each_crop_says_the_value_of_the_object_under_its_peak(split) -> None:
    def embed(primitives, present):
        return np.repeat(primitives[..., 1:], 12, -1)

    searches = range_searches(split.schema, split.schema, embed)
    for one in searches:
        one.search.add(split.predictions)
    (found,) = ranges(searches, split.ids, split.pictures)
    assert [stop.value for stop in found.stops] == [one.value for one in searches]
    matches = searches[0].search.matches
    for crop, match in zip(found.stops[0].crops, matches, strict=True):
        assert crop.scene == split.ids[match.index]
        if match.primitive is None:
            assert crop.true == ""
        else:
            assert crop.true == f"{split.predictions.primitives[match.index, 0, 1]:.2f}"
    assert any(crop.true for stop in found.stops for crop in stop.crops)
