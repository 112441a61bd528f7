"""What a notebook does with a run: ground, describe, retrieve, embed, and draw."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import nsi_cli
from nsi_cli.interpretation.loaded_run import LoadedRun
from nsi_cli.support.errors import ConfigError, DataError, SchemaError
from nsi_cli.support.progress import Progress


class Notes(Progress):
    """Keeps the notes."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


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
            found.mask, run.predict_images(grounded[0].image[None]).masks[0, found.slot]
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


@pytest.mark.slow
def test_an_image_has_the_same_slots_alone_and_among_others(any_run: LoadedRun) -> None:
    images = any_run.store.images("train", range(18))  # more than go through the model at once
    embedded, described = any_run.embed(images), any_run.describe(images)
    grounded = any_run.ground(images, "small")
    assert embedded.shape[:2] == (len(described), len(described[0].slots))
    for index in (0, 17):
        np.testing.assert_allclose(
            embedded[[index]], any_run.embed(images[index]), rtol=1e-4, atol=1e-4
        )
        (alone,) = any_run.describe(images[index])
        for one, other in zip(described[index].slots, alone.slots, strict=True):
            assert one.values == other.values
            assert one.score == pytest.approx(other.score, rel=1e-3, abs=1e-3)
        (found,) = grounded[index].groundings
        (one,) = any_run.ground(images[index], "small")[0].groundings
        assert found.slot == one.slot
        np.testing.assert_allclose(found.mask, one.mask, atol=1e-5)


def test_images_are_files_arrays_and_pillow_images_one_or_several(
    run: LoadedRun, image: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "mine.png"
    Image.fromarray(image).save(path)
    expected = run.embed([image])
    for given in (image, image[None], path, str(path), [path], Image.open(path), [image]):
        np.testing.assert_allclose(run.embed(given), expected, rtol=1e-5, atol=1e-5)
    assert [one.name for one in run.describe([path, image])] == ["mine.png", "image 2"]
    assert run.embed([]).shape == (0, *expected.shape[1:])
    with pytest.raises(DataError, match="image 2 cannot be read as an image"):
        run.embed([image, Image.new("F", (4, 4))])


def test_results_are_plain_values_columns_and_figures(any_run: LoadedRun) -> None:
    (image,) = any_run.store.images("test", [0])
    results = (
        any_run.ground([image, image], ["small", "cube"]),
        any_run.describe([image]),
        any_run.retrieve("small", top=3),
    )
    for result, axes in zip(results, (6, 7, 3), strict=True):
        assert len(result.plot().axes) <= axes
        json.dumps(result.to_dict())
        assert len({len(column) for column in result.columns().values()}) == 1


def test_a_notebook_shows_a_result_and_its_figure(run: LoadedRun, image: np.ndarray) -> None:
    found = run.ground(image, "small")
    for shown in (found, found.plot()):
        with Image.open(io.BytesIO(shown._repr_png_())) as picture:
            assert picture.width > 200


def test_without_masks_it_is_unknown_whether_a_slot_lies_on_an_object(any_run: LoadedRun) -> None:
    known = {match.on_it is not None for match in any_run.retrieve("small").matches}
    assert known == {any_run.store.has_masks}


def test_a_run_of_a_gpu_opens_on_the_cpu_of_a_machine_without_one(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    moved = shutil.copytree(trained, tmp_path / "run")
    config = (moved / "config.yaml").read_text(encoding="utf-8")
    config = config.replace("accelerator: cpu", "accelerator: cuda")
    (moved / "config.yaml").write_text(config, encoding="utf-8")
    notes = Notes()
    assert nsi_cli.load_run(moved, progress=notes).device.type == "cpu"
    assert notes.lines == ["note: this machine has no cuda device; the CPU is used"]


def test_what_is_no_query_is_refused(run, image) -> None:
    with pytest.raises(ConfigError, match="no property has a value"):
        run.ground([image], ["smol"])


def test_an_unknown_name_of_the_package_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'lead_run'"):
        nsi_cli.lead_run  # noqa: B018
