from __future__ import annotations

from dataclasses import replace

import numpy as np

from nsi_cli.interpretation.pages import crops
from nsi_cli.interpretation.pages.collect import collect
from nsi_cli.interpretation.pages.slots import gallery as module
from nsi_cli.interpretation.pages.slots.gallery import cut, galleries, value_searches
from nsi_cli.schema import Categorical, Continuous, Schema


def encode(primitives, present):
    rows = np.random.default_rng(5).normal(size=(primitives.shape[-1], 12))
    return (primitives @ rows).astype(np.float32)


def made(split, top: int = 3, excluded=()):
    searches = value_searches(split.schema, split.schema, encode, top, excluded)
    collect([split.predictions.take(range(3)), split.predictions.take(range(3, 8))], [0], searches)
    return searches, galleries(split.schema, searches, split.ids, split.pictures)


def test_each_value_has_a_shelf_with_its_best_slots(split) -> None:
    searches, (shapes,) = made(split)
    assert [shelf.value for shelf in shapes.shelves] == ["cube", "ball", "<b>cone</b>"]
    for search, shelf in zip(searches, shapes.shelves, strict=True):
        assert [crop.scene for crop in shelf.crops] == [
            split.ids[match.index] for match in search.matches
        ]
        scores = [crop.score for crop in shelf.crops]
        assert scores == sorted(scores, reverse=True)
        assert all(crop.picture.startswith("data:image/webp") for crop in shelf.crops)
        assert shelf.right == sum(bool(match.on_it) for match in search.matches)
        ids = split.predictions.primitives[..., 0]
        value = split.schema.categorical[0].values.index(shelf.value)
        assert shelf.scenes == ((ids == value) & split.predictions.present).any(1).sum()


def test_without_true_masks_a_scene_with_the_value_is_right(split) -> None:
    bare = replace(split, predictions=replace(split.predictions, true_masks=None))
    searches, (shapes,) = made(bare)
    for search, shelf in zip(searches, shapes.shelves, strict=True):
        assert [crop.right for crop in shelf.crops] == [match.right for match in search.matches]


def test_excluded_properties_and_later_values_have_no_shelf(split, monkeypatch) -> None:
    assert made(split, excluded=["shape"])[1] == []
    monkeypatch.setattr(module, "MOST_VALUES", 2)
    (shapes,) = made(split)[1]
    assert ([shelf.value for shelf in shapes.shelves], shapes.left_out) == (["cube", "ball"], 1)


def test_a_schema_without_words_has_no_gallery() -> None:
    schema = Schema((Continuous("x"),), max_objects=1)
    assert value_searches(schema, schema, encode, 3) == []
    assert galleries(Schema((Categorical("a", ("b",)),), 1), [], [], lambda index: None) == []


def test_a_crop_is_the_square_around_the_peak_of_the_mask() -> None:
    image = np.zeros((60, 60, 3), np.uint8)
    image[40:50, 10:20] = 250
    mask = np.zeros((12, 12), np.float32)
    mask[8:10, 2:4] = 1
    picture = cut(image, mask)
    assert picture.shape == (crops.CROP_SIDE, crops.CROP_SIDE, 3)
    middle = crops.CROP_SIDE // 2
    assert picture[middle, middle].min() > 200
    assert picture[0, 0].max() < 80
