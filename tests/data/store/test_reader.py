"""A store returns what was written, in any order and process, or raises an error with a hint."""

import errno
import json
import os
import pickle
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from nsi_cli.data.build.build import build_store
from nsi_cli.data.build.options import BuildOptions
from nsi_cli.data.store.deferred_error_file import DeferredErrorFile
from nsi_cli.data.store.images import create_images
from nsi_cli.data.store.reader import Store, is_store, open_store
from nsi_cli.schema.scene import Scene
from nsi_cli.support.errors import DataError, SchemaError


def test_a_store_describes_its_content(store: Store) -> None:
    assert (store.task, store.image_size, store.has_masks) == ("numbered", 16, True)
    assert store.splits == ("train", "test")
    assert (store.count("train"), store.count("test")) == (11, 3)
    assert store.ids("test") == ["scene11", "scene12", "scene13"]
    assert is_store(store.path)


@pytest.mark.parametrize("index", [[0], [10, 0, 5], [3, 3, 1], [4, 5, 6], range(11), []])
def test_scenes_are_read_in_the_requested_order(store: Store, index: list[int]) -> None:
    images = store.images("train", index)
    assert images.dtype == np.uint8
    assert images.shape == (len(index), 16, 16, 3)
    assert images[:, 5, 5, 1].tolist() == list(index)
    masks = store.masks("train", index)
    assert masks is not None
    assert [len(np.unique(mask)) - 1 for mask in masks] == [i % 5 for i in index]


def test_primitives_are_padded_with_zeros(store: Store) -> None:
    labels, lengths = store.primitives("train")
    assert (labels.shape, labels.dtype) == ((11, 4, 2), np.float32)
    assert lengths.tolist() == [i % 5 for i in range(11)]
    assert np.unique(labels[8, :3], axis=0).tolist() == [[1.0, np.float32(0.08)]]
    assert not labels[8, 3:].any()


def test_without_masks_there_are_none(make_store: Callable[..., Store]) -> None:
    store = make_store(masked=False)
    assert not store.has_masks
    assert store.masks("train", [0]) is None


def test_it_pickles_and_reads_again_after_a_fork(store: Store) -> None:
    store.images("train", [0])
    copy = pickle.loads(pickle.dumps(store))
    assert copy == store
    assert copy.images("train", [7])[0, 0, 0, 0] == 7
    child = os.fork()
    if child == 0:
        right = store.images("train", [9, 2])[:, 0, 0, 0].tolist() == [9, 2]
        os._exit(0 if right else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert store.images("train", [3])[0, 0, 0, 0] == 3


def test_an_unknown_split_is_an_error_that_lists_the_known_ones(store: Store) -> None:
    for ask in (store.count, store.ids, store.primitives, lambda split: store.images(split, [0])):
        with pytest.raises(DataError, match="has no split 'val'") as caught:
            ask("val")
        assert caught.value.hint == "it has: train, test"


def test_a_missing_store_is_an_error_that_says_how_to_build_one(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(DataError) as caught:
            open_store(path)
        assert caught.value.message == f"no store at {path}"
        assert "nsi build-data" in caught.value.hint
        assert not is_store(path)


def _edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "images gone": lambda path: (path / "images.h5").unlink(),
    "images cut": lambda path: os.truncate(path / "images.h5", 5000),
    "labels gone": lambda path: (path / "test_labels.npy").unlink(),
    "build.json cut": lambda path: (path / "build.json").write_text('{"format": 1, '),
    "build.json of nothing": lambda path: (path / "build.json").write_text("[]"),
    "another format": lambda path: _edit(path / "build.json", format=99),
    "no files": lambda path: _edit(path / "build.json", files=None),
    "no splits": lambda path: _edit(path / "build.json", splits=3),
    "schema.json of another store": lambda path: _swap(path / "schema.json"),
}


def _swap(path: Path) -> None:
    path.write_text(path.read_text().replace("ball", "bell"))


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_store_is_not_opened(store: Store, how: str) -> None:
    DAMAGES[how](store.path)
    with pytest.raises((DataError, SchemaError)) as caught:
        open_store(store.path)
    assert str(store.path) in caught.value.message
    assert caught.value.hint
    assert "\n" not in caught.value.message


def test_the_hint_of_a_damaged_store_names_the_data_that_it_was_built_from(store: Store) -> None:
    _edit(store.path / "build.json", options={"raw": "my data", "materials": 4})
    os.truncate(store.path / "images.h5", 5000)
    with pytest.raises(DataError) as caught:
        open_store(store.path, "toy")
    assert caught.value.hint == (
        f"build it: nsi build-data toy --raw 'my data' --image-size {store.image_size} "
        f"--out {store.path} --force"
    )


def test_images_that_hdf5_cannot_read_are_an_error(store: Store) -> None:
    size = (store.path / "images.h5").stat().st_size
    (store.path / "images.h5").write_bytes(b"\0" * size)
    with pytest.raises(DataError, match=r"images\.h5 cannot be read"):
        open_store(store.path)


def test_two_splits_that_share_their_rows_are_not_opened(make_store: Callable[..., Store]) -> None:
    path = make_store(train=5, val=5).path
    with h5py.File(path / "images.h5", "r+") as file:
        del file["val"]
        file["val"] = file["train"]
    _edit(path / "build.json", files=_files(path))
    with pytest.raises(DataError, match=r"images of split '\w+' and images of split '\w+' overlap"):
        open_store(path)


def _files(path: Path) -> dict[str, Any]:
    """The recorded files with the sizes that they have now."""
    files = json.loads((path / "build.json").read_text())["files"]
    return {name: {**known, "bytes": (path / name).stat().st_size} for name, known in files.items()}


def test_ids_that_are_no_text_are_an_error_when_they_are_read(store: Store) -> None:
    with h5py.File(store.path / "images.h5", "r+") as file:
        file["ids/test"][0] = b"\xff\xfe"
    _edit(store.path / "build.json", files=_files(store.path))
    with pytest.raises(DataError, match=r"images\.h5 cannot be read: .*decode") as caught:
        open_store(store.path).ids("test")
    assert caught.value.hint


def test_scenes_with_and_without_a_mask_do_not_mix(numbered: Any, tmp_path: Path) -> None:
    class Mixed(numbered):  # type: ignore[misc]
        def load(self, source: int) -> Scene:
            scene = super().load(source)
            return Scene(scene.id, scene.image, scene.primitives) if source == 7 else scene

    with pytest.raises(DataError, match="scene scene7 has no mask, unlike the scenes before it"):
        build_store(Mixed(tmp_path / "raw"), "x", tmp_path / "out", BuildOptions(16))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_ends_the_build_at_once(
    numbered: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = []

    class Counted(numbered):  # type: ignore[misc]
        def load(self, source: int) -> Scene:
            loaded.append(source)
            return super().load(source)  # type: ignore[no-any-return]

    def refuse(self: DeferredErrorFile, data: Any) -> int:
        self._error = OSError(errno.ENOSPC, "No space left on device")
        return len(data)

    monkeypatch.setattr(DeferredErrorFile, "write", refuse)
    builder = Counted(tmp_path / "raw", (("train", 200),))
    with pytest.raises(DataError, match="the disk is full"):
        build_store(builder, "x", tmp_path / "out", BuildOptions(256))
    assert len(loaded) < 100  # HDF5 holds back some megabytes
    assert list(tmp_path.iterdir()) == []


def test_primitives_of_another_schema_are_refused(numbered: Any, tmp_path: Path) -> None:
    class Wide(numbered):  # type: ignore[misc]
        def load(self, source: int) -> Scene:
            scene = super().load(source)
            return Scene(scene.id, scene.image, np.zeros((0, 3), np.float32))

    with pytest.raises(DataError, match=r"scene scene0: primitives of shape \(0, 3\)"):
        build_store(Wide(tmp_path / "raw"), "x", tmp_path / "out", BuildOptions(16))


@pytest.mark.parametrize("split", ["masks", "ids", "a/b", "", "../up"])
def test_a_split_has_a_plain_name(numbered: Any, tmp_path: Path, split: str) -> None:
    builder = numbered(tmp_path / "raw", ((split, 2),))
    with pytest.raises(DataError, match="a split cannot be called"):
        build_store(builder, "x", tmp_path / "out", BuildOptions(16))


def test_no_scenes_are_an_error_and_an_empty_split_is_skipped(
    numbered: Any, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="no scenes to build from"):
        build_store(numbered(tmp_path, (("train", 0),)), "x", tmp_path / "out", BuildOptions(16))
    builder = numbered(tmp_path / "raw", (("train", 2), ("val", 0)))
    store = open_store(build_store(builder, "x", tmp_path / "out", BuildOptions(16)))
    assert store.splits == ("train",)


def test_an_error_of_a_builder_becomes_a_reason_with_the_name_of_the_scene(
    numbered: Any, tmp_path: Path
) -> None:
    class Broken(numbered):  # type: ignore[misc]
        def load(self, source: int) -> Scene:
            if source == 3:
                raise OverflowError("too\nlarge")
            return super().load(source)  # type: ignore[no-any-return]

    builder = Broken(tmp_path / "raw")
    with pytest.raises(DataError, match=r"1 of 14 scenes .*: 3: OverflowError: too large"):
        build_store(builder, "x", tmp_path / "out", BuildOptions(16))
    build_store(builder, "x", tmp_path / "out", BuildOptions(16, max_skipped=0.1))
    [skipped] = open_store(tmp_path / "out").build["skipped"]
    assert (skipped["split"], skipped["scene"]) == ("train", "3")
    reason = r"3: OverflowError: too large \(test_reader\.py, line \d+\)"
    assert re.fullmatch(reason, skipped["reason"])


def test_the_hint_of_a_failed_build_has_the_share_that_lets_it_pass(
    numbered: Any, tmp_path: Path
) -> None:
    class Paths(numbered):  # type: ignore[misc]
        def splits(self) -> Any:
            splits = super().splits()
            return {split: [f"images/{n}.jpg" for n in part] for split, part in splits.items()}

        def load(self, source: str) -> Scene:
            number = int(source[7:-4])
            if number in (3, 5):
                raise DataError(f"{number}.jpg cannot be read as an image: truncated", "restore it")
            return super().load(number)  # type: ignore[no-any-return]

    builder = Paths(tmp_path / "raw")
    with pytest.raises(DataError) as caught:
        build_store(builder, "x", tmp_path / "out", BuildOptions(16))
    assert caught.value.message == (
        "2 of 14 scenes cannot be read, and at most 0.1% may be skipped: "
        "images/3.jpg cannot be read as an image: truncated; "
        "images/5.jpg cannot be read as an image: truncated"
    )
    assert caught.value.hint == "restore it; to skip them, build with --max-skipped 0.143"
    build_store(builder, "x", tmp_path / "out", BuildOptions(16, max_skipped=0.143))


def test_an_interruption_does_not_come_between_hdf5_and_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, sent = DeferredErrorFile.write, list[int]()

    def write(self: DeferredErrorFile, data: Any) -> int:
        if not sent:
            sent.append(signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
        return real(self, data)

    monkeypatch.setattr(DeferredErrorFile, "write", write)
    path = tmp_path / "images.h5"
    with pytest.raises(KeyboardInterrupt):
        create_images(path, {"train": 3}, 16, masked=True)
    with h5py.File(path) as file:
        assert (file["train"].shape, file["masks/train"].shape) == ((3, 16, 16, 3), (3, 16, 16))
