"""What a notebook does with a run: ground, describe, retrieve, embed, and draw."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import nsi_cli
from nsi_cli.interpretation.loaded_run import LoadedRun
from nsi_cli.interpretation.plots import spotlight
from nsi_cli.support.errors import ConfigError, SchemaError


@pytest.fixture(scope="module")
def run(trained: Path) -> LoadedRun:
    return nsi_cli.load_run(trained)


@pytest.fixture(scope="module")
def image(run: LoadedRun) -> np.ndarray:
    return run.store.images("test", [0])[0]


def test_a_query_is_grounded_in_the_slot_that_retrieval_names(run, image) -> None:
    grounded = run.ground([image], ["small", "large sphere"])
    assert [found.query for found in grounded[0].groundings] == ["small", "large sphere"]
    slots = run.embed([image])
    assert slots.shape == (1, run.run.config.num_slots, run.run.config.embed_dim)
    for found in grounded[0].groundings:
        assert 0 <= found.slot < run.run.config.num_slots
        np.testing.assert_array_equal(
            found.mask, run.predict_image(grounded[0].image).masks[0, found.slot]
        )


def test_without_queries_every_value_is_grounded(run, image) -> None:
    (one,) = run.ground([image])
    values = [value for item in run.run.schema.categorical for value in item.values]
    assert [found.query for found in one.groundings] == values
    assert run.ground([image]).to_dict()[0]["groundings"][0]["query"] == values[0]


def test_objects_are_embedded_as_in_training(run) -> None:
    primitives, lengths = run.store.primitives("test")
    objects = run.run.schema.decode(primitives[0, : lengths[0]])
    (embedded,) = run.embed_objects([objects])
    (batch,) = run.predictions("test", 100)
    np.testing.assert_allclose(
        embedded, batch.primitive_embeddings[0, : lengths[0]], rtol=1e-4, atol=1e-4
    )
    with pytest.raises(SchemaError):
        run.embed_objects([[{"shape": "cube"}]])


def test_results_are_drawn_and_shown_by_notebooks(run, image) -> None:
    results = (
        run.ground([image, image], ["small", "cube"]),
        run.describe([image]),
        run.retrieve("small", top=3),
    )
    for result, axes in zip(results, (6, 7, 3), strict=True):
        assert len(result.plot().axes) <= axes
        with Image.open(io.BytesIO(result._repr_png_())) as picture:
            assert picture.width > 200


def test_what_is_no_query_is_refused(run, image) -> None:
    with pytest.raises(ConfigError, match="no property has a value"):
        run.ground([image], ["smol"])


def test_a_spotlight_keeps_the_masked_part_and_dims_the_rest() -> None:
    image = np.full((8, 8, 3), 200, np.uint8)
    mask = np.zeros((4, 4), np.float32)
    mask[:2] = 0.01
    lit = spotlight(image, mask)
    assert (lit[:3] == 200).all()
    assert (lit[-3:] == 50).all()
    assert (spotlight(image, np.zeros((4, 4), np.float32)) == 50).all()


def test_an_unknown_name_of_the_package_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'lead_run'"):
        nsi_cli.lead_run  # noqa: B018
