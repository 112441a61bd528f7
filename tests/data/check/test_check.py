"""A store is read again, and whatever is wrong with it is reported, all at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from nsi_cli.data.check.check import CHECKS, check_store
from nsi_cli.data.check.result import SHOWN, CheckResult
from nsi_cli.data.store.reader import Store
from nsi_cli.support.errors import DataError

Damage = Callable[[Path], None]


def results(path: Path) -> dict[str, CheckResult]:
    return {result.name: result for result in check_store(path)}


def statuses(path: Path) -> dict[str, str]:
    return {name: result.status for name, result in results(path).items()}


def labels(change: Callable[[np.ndarray], Any]) -> Damage:
    """Change the training labels: scene n has n % 5 objects of (shape, x)."""

    def damage(path: Path) -> None:
        array = np.load(path / "train_labels.npy")
        change(array)
        np.save(path / "train_labels.npy", array)

    return damage


def pictures(change: Callable[[h5py.File], Any]) -> Damage:
    def damage(path: Path) -> None:
        with h5py.File(path / "images.h5", "r+") as file:
            change(file)

    return damage


def rewrite(name: str, change: Callable[[Any], Any]) -> Damage:
    def damage(path: Path) -> None:
        data = json.loads((path / name).read_text())
        change(data)
        (path / name).write_text(json.dumps(data))

    return damage


def put(array: Any, index: Any, value: Any) -> None:
    array[index] = value


def lengths(path: Path) -> None:
    array = np.load(path / "test_lengths.npy")
    array[0] = 9
    np.save(path / "test_lengths.npy", array)


def shorten(file: h5py.File, name: str, count: int) -> None:
    rows = file[name][:count]
    del file[name]
    file[name] = rows


def drop_masks(file: h5py.File) -> None:
    del file["masks/test"]


DAMAGES: dict[str, tuple[Damage, str, str]] = {
    "id too large": (labels(lambda a: put(a, (4, 2, 0), 2)), "labels",
                     r"train 4 (scene4): object 3 has shape 2, ids run from 0 to 1"),
    "id below missing": (labels(lambda a: put(a, (4, 2, 0), -2)), "labels", "shape -2"),
    "id in between": (labels(lambda a: put(a, (4, 2, 0), 0.5)), "labels", "shape 0.5"),
    "id not a number": (labels(lambda a: put(a, (4, 2, 0), np.nan)), "labels", "shape nan"),
    "infinite": (labels(lambda a: put(a, (4, 2, 1), np.inf)), "labels", "x inf, not finite"),
    "padding": (labels(lambda a: put(a, (3, 3, 1), 0.5)), "labels",
                "train 3 (scene3): numbers beyond its 3 objects"),
    "length": (lengths, "labels", "test 0 (scene11): 9 objects, 0 to 4 fit"),
    "extra value": (pictures(lambda f: put(f["masks/train"], (2, 9, 9), 3)), "masks",
                    "train 2 (scene2): the mask has a value 3 that belongs to no object"),
    "no pixel": (pictures(lambda f: put(f["masks/train"], (2, 0, 1), 0)), "masks",
                 "train 2 (scene2): object 2 has no pixel in the mask"),
    "no masks": (pictures(drop_masks), "counts",
                 "images.h5: there are no masks of split 'test'"),
    "fewer images": (pictures(lambda f: shorten(f, "train", 10)), "counts",
                     "images of split 'train' are uint8 (10, 16, 16, 3)"),
    "one split more": (pictures(lambda f: f.create_dataset("extra", data=[1])), "counts",
                       "images.h5 has a split 'extra'"),
    "twin ids": (pictures(lambda f: put(f["ids/test"], 0, "scene3")), "ids",
                 "scene3 is there 2 times: train 3, test 0"),
    "no id": (pictures(lambda f: put(f["ids/test"], 0, "")), "ids", "test 0 has no id"),
    "vocabulary": (rewrite("program2label.json", lambda d: put(d["shape"], "ball", 7)),
                   "vocabulary", "program2label.json: 'shape' does not agree with schema.json"),
    "one word more": (rewrite("program_space.json", lambda d: put(d, "mood", ["glad"])),
                      "vocabulary", "program_space.json: 'mood'"),
    "schema": (rewrite("schema.json", lambda d: put(d["properties"][0], "values", ["cube", "b"])),
               "schema", "schema.json has fingerprint"),
    "objects": (rewrite("build.json", lambda d: put(d["splits"]["train"], "objects", 3)),
                "counts", "split 'train' has 20 objects, 3 were recorded"),
    "hash": (rewrite("build.json", lambda d: put(d["files"]["images.h5"], "sha256", "0")),
             "files", "images.h5 has another SHA-256"),
    "a file gone": (lambda path: (path / "program_space.json").unlink(), "files",
                    "program_space.json is missing"),
    "format": (rewrite("build.json", lambda d: put(d, "format", 9)), "record", "format is 9"),
    "counts gone": (rewrite("build.json", lambda d: d["splits"]["test"].clear()), "record",
                    "split 'test' has no number of scenes and objects and dropped_objects"),
    "no hash": (rewrite("build.json", lambda d: d["files"].pop("train_labels.npy")), "record",
                "no hash of train_labels.npy"),
}  # fmt: skip


def test_a_new_store_has_no_fault(make_store: Callable[..., Store]) -> None:
    found = results(make_store().path)
    assert list(found) == list(CHECKS)
    assert {result.status for name, result in found.items() if name != "images"} == {"ok"}
    assert found["labels"].looked_at == "26 objects"
    assert found["images"].warnings == 14  # each of these images is all of one colour
    assert len(found["images"].warned) == SHOWN


def test_a_store_without_masks_is_not_checked_for_masks(make_store: Callable[..., Store]) -> None:
    path = make_store(masked=False).path
    assert results(path)["masks"].looked_at == "the store has no masks"
    found = statuses(path)
    assert found.pop("masks") == "left out"
    assert "faults" not in found.values()


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_a_fault_that_names_its_location(store: Store, damage: str) -> None:
    work, check, answer = DAMAGES[damage]
    work(store.path)
    found = results(store.path)
    assert found[check].status == "faults"
    assert any(answer in example for example in found[check].examples), found[check]


def test_all_faults_are_listed_at_once(store: Store) -> None:
    for damage in ("id too large", "twin ids", "no pixel", "vocabulary", "objects"):
        DAMAGES[damage][0](store.path)
    found = statuses(store.path)
    assert {name for name, status in found.items() if status == "faults"} == {
        "files", "vocabulary", "counts", "ids", "labels", "masks",
    }  # fmt: skip


def test_missing_values_and_values_out_of_bounds_are_no_faults(store: Store) -> None:
    def change(array: np.ndarray) -> None:
        array[4, 0] = [-1, 0.5]
        array[4, 1] = [0, np.nan]
        array[4, 2] = [0, 5]

    labels(change)(store.path)
    found = results(store.path)["labels"]
    assert found.status == "warnings"
    assert found.looked_at == "26 objects, 1 without shape, 1 without x"
    assert found.warned == ["train 4 (scene4): object 3 has x 5, outside the bounds"]


def test_a_file_that_is_not_part_of_the_store_is_a_warning(store: Store) -> None:
    (store.path / "notes.txt").write_text("mine")
    (store.path / "features").mkdir()
    found = results(store.path)["files"]
    assert (found.status, found.warned) == ("warnings", ["notes.txt is not part of the store"])


@pytest.mark.parametrize("name", ["images.h5", "schema.json", "train_labels.npy"])
@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n" + b"\0" * 600, b"[1, 2"])
def test_a_damaged_file_stops_no_other_check(store: Store, name: str, content: bytes) -> None:
    (store.path / name).write_bytes(content)
    found = statuses(store.path)
    assert found["files"] == "faults"
    assert found["record"] == "ok"
    if name != "schema.json":
        assert found["vocabulary"] == "ok"


def test_a_folder_without_a_store_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no store at"):
        check_store(tmp_path)
    (tmp_path / "build.json").write_text("[]")
    with pytest.raises(DataError, match="is not the record of a store"):
        check_store(tmp_path)
