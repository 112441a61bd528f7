"""A store keeps one label per scene: in its files, batches, summary and checks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nsi_cli.data.build.build import build_store
from nsi_cli.data.build.options import BuildOptions
from nsi_cli.data.build.resize import resized
from nsi_cli.data.check.check import check_store
from nsi_cli.data.loading.loader import LoaderOptions, make_dataloader
from nsi_cli.data.store.reader import Store, open_store
from nsi_cli.data.store.summary import summarize
from nsi_cli.interpretation.stores.summary_figure import draw_summary
from nsi_cli.schema.scene import Scene, keep_visible
from nsi_cli.support.errors import DataError

ROWS = np.zeros((2, 1), np.float32)
IMAGE = np.zeros((8, 8, 3), np.uint8)


@pytest.fixture
def labelled(make_store: Callable[..., Store]) -> Store:
    """A store whose scenes have the labels zero, one, and none, in turn."""
    return make_store(labelled=True)


def test_the_labels_are_in_the_store_with_their_names(labelled: Store) -> None:
    store = open_store(labelled.path)
    assert store.scene_label is not None
    assert (store.scene_label.name, store.scene_label.values) == ("class", ("zero", "one"))
    ids = store.scene_labels("train")
    assert ids is not None
    assert (ids.dtype, ids.tolist()) == (np.int64, [0, 1, -1, 0, 1, -1, 0, 1, -1, 0, 1])
    names = json.loads((store.path / "scene_label.json").read_text())
    assert names == {"name": "class", "values": ["zero", "one"]}
    plain = np.load(store.path / "test_scene_labels.npy", allow_pickle=False)
    np.testing.assert_array_equal(plain, store.scene_labels("test"))


def test_a_store_without_labels_has_no_trace_of_them(store: Store) -> None:
    assert (store.scene_label, store.scene_labels("train")) == (None, None)
    assert not list(store.path.glob("*scene_label*"))
    assert "scene_label" not in {*store.build, *summarize(store)}
    (batch,) = make_dataloader(store, "test", LoaderOptions())
    assert batch.scene_labels is None


def test_a_batch_has_the_labels_of_its_scenes(labelled: Store) -> None:
    options = LoaderOptions(4, shuffle=True, masks=True)
    for batch in make_dataloader(labelled, "train", options):
        assert batch.scene_labels is not None
        expected = [[0, 1, -1][index % 3] for index in batch.index.tolist()]
        assert batch.scene_labels.tolist() == expected


def test_the_summary_counts_the_scenes_of_each_label(labelled: Store) -> None:
    summary = summarize(labelled)
    assert summary["scene_label"] == {
        "name": "class",
        "splits": {
            "train": {"missing": 3, "counts": {"zero": 4, "one": 4}},
            "test": {"missing": 1, "counts": {"zero": 1, "one": 1}},
        },
    }
    titles = [axes.get_title("left") for axes in draw_summary(summary, "labelled").axes]
    assert "class of scenes" in titles


def test_a_label_survives_a_crop_and_a_resize() -> None:
    mask = np.zeros((8, 8), np.uint8)
    mask[0, 0], mask[4:, 4:] = 1, 2
    scene = keep_visible("s", IMAGE, ROWS, mask, label="zero")
    assert resized(scene, 2).label == "zero"  # which drops the first object
    assert resized(Scene("s", Image.new("RGB", (8, 8)), ROWS, label="one"), 2).label == "one"


def test_a_label_is_a_string() -> None:
    with pytest.raises(DataError, match="scene s: a label must be a string, not 3"):
        Scene("s", IMAGE, ROWS, label=3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("labelled", "label", "message"),
    [
        (True, "ones", "scene scene0: unknown class 'ones'"),
        (False, "one", "scene scene0 has the label 'one', but the task declares none"),
    ],
)
def test_a_label_that_is_not_declared_is_an_error(
    labelled: bool, label: str, message: str, numbered: Any, tmp_path: Path
) -> None:
    class Wrong(numbered):  # type: ignore[misc]
        def load(self, source: int) -> Scene:
            scene = super().load(source)
            return Scene(scene.id, scene.image, scene.primitives, scene.mask, label=label)

    builder = Wrong(tmp_path / "raw", labelled=labelled)
    with pytest.raises(DataError, match=message) as caught:
        build_store(builder, "x", tmp_path / "out", BuildOptions(16))
    assert caught.value.hint
    assert not (tmp_path / "out").exists()


def damage_ids(path: Path) -> None:
    ids = np.load(path / "test_scene_labels.npy")
    ids[1] = 2
    np.save(path / "test_scene_labels.npy", ids)


def damage_names(path: Path) -> None:
    text = (path / "scene_label.json").read_text()
    (path / "scene_label.json").write_text(text.replace('"one"', "11111"))


def remove_hash(path: Path) -> None:
    build = json.loads((path / "build.json").read_text())
    del build["files"]["train_scene_labels.npy"]
    (path / "build.json").write_text(json.dumps(build))


@pytest.mark.parametrize(
    ("damage", "check", "fault"),
    [
        (damage_ids, "labels", "its class has id 2, ids run from 0 to 1"),
        (damage_names, "vocabulary", "must be a list of distinct, non-empty strings"),
        (remove_hash, "record", "no hash of train_scene_labels.npy is recorded"),
    ],
)
def test_damaged_labels_are_found(
    damage: Callable[[Path], None], check: str, fault: str, labelled: Store
) -> None:
    found = {result.name: result for result in check_store(labelled.path)}
    assert "14 scene labels" in found["labels"].looked_at
    assert not any(result.faults for result in found.values())
    damage(labelled.path)
    with pytest.raises(DataError, match=fault) as caught:
        open_store(labelled.path)
    assert caught.value.hint
    found = {result.name: result for result in check_store(labelled.path)}
    assert any(fault in example for example in found[check].examples), found[check]
