"""Retrieval with an image of one's own and with a schema, against brute force."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from nsi_cli.interpretation.loaded_run import LoadedRun
from nsi_cli.support.errors import ConfigError, SchemaError


def brute_force(run: LoadedRun, slots: np.ndarray, objects: np.ndarray) -> tuple[float, np.ndarray]:
    """The score of slots (K, E) with objects (n, E), and the slot of each object."""
    products = objects @ slots.T
    if run.model.alignment != "hungarian":
        return float(products.max(1).sum()), products.argmax(1)
    rows, columns = linear_sum_assignment(products, maximize=True)
    picked = np.full(len(objects), -1)
    picked[rows] = columns
    return float(products[rows, columns].sum()), picked


def best(scores: list[float], top: int) -> list[int]:
    return np.argsort(-np.array(scores), kind="stable")[:top].tolist()


def test_the_schemas_of_an_image_are_those_of_brute_force(any_run: LoadedRun) -> None:
    images = any_run.store.images("val", [0, 1])
    scenes = list(any_run.scenes("test"))
    found = any_run.retrieve_schemas(images, top=3, batch_size=4)
    assert [one.name for one in found] == ["image 1", "image 2"]
    for one, slots in zip(found, any_run.embed(images), strict=True):
        pairs = [brute_force(any_run, slots, scene.object_embeddings) for scene in scenes]
        assert [match.index for match in one.matches] == best([score for score, _ in pairs], 3)
        for match in one.matches:
            score, picked = pairs[match.index]
            assert match.score == pytest.approx(score, rel=1e-3, abs=1e-3)
            assert match.slots.tolist() == picked.tolist()
            assert match.objects == scenes[match.index].objects
            assert match.id == scenes[match.index].id
            for mask, slot in zip(match.masks, match.slots, strict=True):
                np.testing.assert_array_equal(mask, one.masks[slot] if slot >= 0 else 0 * mask)


def test_the_images_of_a_schema_are_those_of_brute_force(any_run: LoadedRun) -> None:
    scenes = list(any_run.scenes("test"))
    schemas = [any_run.scenes("val")[index].objects for index in (0, 1)]
    found = any_run.retrieve_images(schemas, top=4, batch_size=3)
    for one, objects in zip(found, any_run.embed_objects(schemas), strict=True):
        pairs = [brute_force(any_run, scene.slot_embeddings, objects) for scene in scenes]
        assert [match.index for match in one.matches] == best([score for score, _ in pairs], 4)
        for match in one.matches:
            score, picked = pairs[match.index]
            assert match.score == pytest.approx(score, rel=1e-3, abs=1e-3)
            assert match.slots.tolist() == picked.tolist()
            assert match.objects == one.objects
            np.testing.assert_array_equal(match.image, scenes[match.index].image)


def test_more_than_there_are_is_all_of_them(any_run: LoadedRun) -> None:
    (found,) = any_run.retrieve_schemas(any_run.store.images("test", [0])[0], top=1000)
    assert len(found.matches) == found.scenes == len(any_run.scenes("test"))
    assert any_run.retrieve_schemas([]) == []
    assert any_run.retrieve_images([]) == []


def test_matches_are_plain_values_and_are_drawn(any_run: LoadedRun) -> None:
    (schemas,) = any_run.retrieve_schemas(any_run.store.images("test", [0]), top=2)
    (images,) = any_run.retrieve_images([any_run.scenes("test")[0].objects], top=2)
    for found, axes in ((schemas, 4), (images, 2)):
        assert len(json.loads(json.dumps(found.to_dict()))["matches"]) == 2
        assert [len(column) for column in found.columns().values()] == [2] * 6
        assert len(found.plot().axes) == axes


def test_what_is_no_schema_is_refused(any_run: LoadedRun) -> None:
    (one, *_) = any_run.scenes("test")[0].objects
    with pytest.raises(ConfigError, match="without objects"):
        any_run.retrieve_images([[]])
    with pytest.raises(ConfigError, match="list of objects"):
        any_run.retrieve_images([one])
    with pytest.raises(SchemaError, match="no 'size'"):
        any_run.retrieve_images([[{"shape": "cube"}]])
