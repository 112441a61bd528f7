"""Kinds of damage to a store, by name: each takes the store's folder and changes it."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Damage = Callable[[Path], object]

READ = ("build.json", "schema.json", "images.h5", "train_labels.npy", "train_lengths.npy")
"""The files that a training reads; the others are like one of them."""


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one, chdir(path.parent):  # its path may not be long
        one.bind(path.name)


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _in_place_of(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        path.unlink()
        make(path)

    return damage


def _any_file() -> dict[str, Damage]:
    """What can happen to every file."""
    kinds: dict[str, Callable[[Path], object]] = {
        "missing": Path.unlink,
        "empty": lambda path: os.truncate(path, 0),
        "cut in half": _truncate,
        "all zeros": lambda path: path.write_bytes(b"\0" * path.stat().st_size),
        "a folder": _in_place_of(Path.mkdir),
        "a named pipe": _in_place_of(os.mkfifo),
        "a socket": _in_place_of(_socket),
        "a link to an endless device": _in_place_of(lambda path: path.symlink_to("/dev/zero")),
        "a link to nothing": _in_place_of(lambda path: path.symlink_to("away")),
    }

    def bound(name: str, change: Callable[[Path], object]) -> Damage:
        return lambda store: change(store / name)

    return {
        f"{name}: {kind}": bound(name, change) for name in READ for kind, change in kinds.items()
    }


def swap(one: str, other: str) -> Damage:
    """Exchange two files."""

    def damage(store: Path) -> None:
        shutil.move(store / one, store / "aside")
        shutil.move(store / other, store / one)
        shutil.move(store / "aside", store / other)

    return damage


def _edit(name: str, change: Callable[[Any], object]) -> Damage:
    """Change a JSON file, and record its new size."""

    def damage(store: Path) -> None:
        data = json.loads((store / name).read_text())
        change(data)
        (store / name).write_text(json.dumps(data))
        _record(store, name)

    return damage


def _record(store: Path, name: str) -> None:
    """Let ``build.json`` state the size that a file has now."""
    if name != "build.json":
        build = json.loads((store / "build.json").read_text())
        build["files"][name]["bytes"] = (store / name).stat().st_size
        (store / "build.json").write_text(json.dumps(build))


def _put(data: Any, key: Any, value: Any) -> None:
    data[key] = value


def _record_file(key: str, value: Any) -> Damage:
    return _edit("build.json", lambda build: _put(build, key, value))


def _train(key: str, value: Any) -> Damage:
    return _edit("build.json", lambda build: _put(build["splits"]["train"], key, value))


def _text(name: str, content: str | bytes) -> Damage:
    data = content.encode() if isinstance(content, str) else content
    return lambda store: (store / name).write_bytes(data)


def _array(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Damage:
    """Replace an array, and record its new size."""

    def damage(store: Path) -> None:
        np.save(store / name, change(np.load(store / name)))
        _record(store, name)

    return damage


def _value(index: Any, value: float, name: str = "train_labels.npy") -> Damage:
    def change(array: np.ndarray) -> np.ndarray:
        array[index] = value
        return array

    return _array(name, change)


def _header(text: str, version: tuple[int, int] = (1, 0)) -> Damage:
    """Replace the header of the labels by one of the same length."""

    def damage(store: Path) -> None:
        path = store / "train_labels.npy"
        data = bytearray(path.read_bytes())
        length = int.from_bytes(data[8:10], "little")
        data[6:8] = bytes(version)
        data[10 : 10 + length] = text.encode().ljust(length)
        path.write_bytes(data)

    return damage


def _hdf5(change: Callable[[h5py.File], object]) -> Damage:
    """Change the file of images, and record its new size."""

    def damage(store: Path) -> None:
        with h5py.File(store / "images.h5", "r+") as file:
            change(file)
        _record(store, "images.h5")

    return damage


def _instead(name: str, make: Callable[[h5py.File, str, np.ndarray], object]) -> Damage:
    """Make something in the place of a dataset, which is given as an array."""

    def change(file: h5py.File) -> None:
        rows = file[name][()]
        del file[name]
        make(file, name, rows)

    return _hdf5(change)


def _dataset(name: str, change: Callable[[np.ndarray], Any], **options: Any) -> Damage:
    def make(file: h5py.File, name: str, rows: np.ndarray) -> None:
        file.create_dataset(name, data=change(rows), **options)

    return _instead(name, make)


def _link_to_pipe(store: Path) -> None:
    os.mkfifo(store / "pipe.h5")

    def make(file: h5py.File, name: str, rows: np.ndarray) -> None:
        file[name] = h5py.ExternalLink("pipe.h5", "/train")

    _instead("train", make)(store)


def _rows_in_pipe(store: Path) -> None:
    os.mkfifo(store / "pipe.bin")

    def make(file: h5py.File, name: str, rows: np.ndarray) -> None:
        place = str(store / "pipe.bin")
        file.create_dataset(name, rows.shape, np.uint8, external=[(place, 0, rows.size)])

    _instead("train", make)(store)


def _virtual(file: h5py.File, name: str, rows: np.ndarray) -> None:
    layout = h5py.VirtualLayout(rows.shape, np.uint8)
    layout[:] = h5py.VirtualSource("away.h5", "train", rows.shape)
    file.create_virtual_dataset(name, layout)


def _link(target: str) -> Callable[[h5py.File, str, np.ndarray], object]:
    return lambda file, name, _: _put(file, name, h5py.SoftLink(target))


def _nested(depth: int) -> str:
    return "[" * depth + "]" * depth


DAMAGES: dict[str, Damage] = {
    **_any_file(),
    # files that are each sound, but not where they belong
    "labels and lengths exchanged": swap("train_labels.npy", "train_lengths.npy"),
    "labels of two splits exchanged": swap("train_labels.npy", "test_labels.npy"),
    "lengths of two splits exchanged": swap("train_lengths.npy", "test_lengths.npy"),
    "schema and vocabulary exchanged": swap("schema.json", "program_space.json"),
    "record and schema exchanged": swap("build.json", "schema.json"),
    "images and labels exchanged": swap("images.h5", "train_labels.npy"),
    "a vocabulary is missing": lambda store: (store / "label2program.json").unlink(),
    # the record
    "record: a list": _text("build.json", "[]"),
    "record: not UTF-8": _text("build.json", b'{"\xff": 1}'),
    "record: nested 100 000 deep": _text("build.json", _nested(100_000)),
    "record: of 65 MB": lambda store: os.truncate(store / "build.json", 65_000_000),
    "record: another format": _record_file("format", 99),
    "record: no task": _edit("build.json", lambda build: build.pop("task")),
    "record: a number for a task": _record_file("task", 3),
    "record: a text for a size": _record_file("image_size", "48"),
    "record: a size of nothing": _record_file("image_size", 0),
    "record: a size of 2**70": _record_file("image_size", 2**70),
    "record: a size of another store": _record_file("image_size", 64),
    "record: masks neither there nor not": _record_file("masks", "yes"),
    "record: splits in a list": _record_file("splits", ["train"]),
    "record: no split": _record_file("splits", {}),
    "record: a split without counts": _edit(
        "build.json", lambda build: _put(build["splits"], "train", None)
    ),
    "record: one scene less": _train("scenes", 50),
    "record: fewer than no scenes": _train("scenes", -1),
    "record: scenes without end": _train("scenes", 10**30),
    "record: scenes by halves": _train("scenes", 51.0),
    "record: one object more": _train("objects", 10**6),
    "record: a split out of the folder": _edit(
        "build.json", lambda build: _put(build["splits"], "../train", build["splits"]["train"])
    ),
    "record: no files": _record_file("files", None),
    "record: no options": _record_file("options", None),
    "record: nothing about skipped scenes": _record_file("skipped", None),
    "record: images without a hash": _edit(
        "build.json", lambda build: build["files"]["images.h5"].pop("sha256")
    ),
    "record: a file out of the folder": _edit(
        "build.json",
        lambda build: _put(build["files"], "/dev/zero", {"bytes": 0, "sha256": ""}),
    ),
    # the schema
    "schema: of another dataset": _edit(
        "schema.json", lambda schema: _put(schema["properties"][0], "values", ["one", "two"])
    ),
    "schema: a property more": _edit(
        "schema.json", lambda schema: schema["properties"].append(schema["properties"][0])
    ),
    "schema: without properties": _edit("schema.json", lambda data: _put(data, "properties", [])),
    "schema: a number": _text("schema.json", "3"),
    "schema: objects without end": _edit(
        "schema.json", lambda schema: _put(schema, "max_objects", 10**12)
    ),
    "schema: a property of 10**12 numbers": _edit(
        "schema.json",
        lambda schema: schema["properties"][-1].update(size=10**12, low=[0], high=[1]),
    ),
    # labels and lengths
    "labels: doubles": _array("train_labels.npy", lambda a: a.astype(np.float64)),
    "labels: integers": _array("train_labels.npy", lambda a: a.astype(np.int32)),
    "labels: of the other byte order": _array("train_labels.npy", lambda a: a.astype(">f4")),
    "labels: pickled objects": _array("train_labels.npy", lambda a: a.astype(object)),
    "labels: one column less": _array("train_labels.npy", lambda a: a[..., :-1]),
    "labels: one object less": _array("train_labels.npy", lambda a: a[:, :-1]),
    "labels: one scene less": _array("train_labels.npy", lambda a: a[:-1]),
    "labels: flat": _array("train_labels.npy", np.ravel),
    "labels: by columns": _array("train_labels.npy", np.asfortranarray),
    "labels: a header of 2**60 rows": _header(
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1152921504606846976, 10, 6)}\n"
    ),
    "labels: a header that is no header": _header("{'descr': (((\n"),
    "labels: a header of another version": _header("{}\n", (9, 9)),
    "labels: an unknown id": _value((3, 0, 0), 77),
    "labels: an id below missing": _value((3, 0, 0), -2),
    "labels: an id between two": _value((3, 0, 0), 0.5),
    "labels: an id that is NaN": _value((3, 0, 0), np.nan),
    "labels: an infinite position": _value((3, 0, -1), np.inf),
    "labels: a position that is partly NaN": _value((3, 0, -1), np.nan),
    "labels: numbers beyond the objects": _value((slice(None), -1), 0.25),
    "lengths: too large": _value(0, 99, "train_lengths.npy"),
    "lengths: negative": _value(0, -1, "train_lengths.npy"),
    "lengths: of another scene": _value(slice(None), 1, "train_lengths.npy"),
    "lengths: of 32 bits": _array("train_lengths.npy", lambda a: a.astype(np.int32)),
    "lengths: numbers with fractions": _array("train_lengths.npy", lambda a: a + 0.5),
    "lengths: a column": _array("train_lengths.npy", lambda a: a[:, None]),
    # images, masks and ids
    "images: missing": _hdf5(lambda file: file.pop("train")),
    "images: under another name": _hdf5(lambda file: file.move("train", "training")),
    "images: a group": _instead("train", lambda file, name, _: file.create_group(name)),
    "images: a data type": _instead(
        "train", lambda file, name, _: _put(file, name, np.dtype("u1"))
    ),
    "images: nothing at all": _instead(
        "train", lambda file, name, _: _put(file, name, h5py.Empty("u1"))
    ),
    "images: one number": _dataset("train", lambda rows: np.uint8(3)),
    "images: of another split": _instead("train", _link("/test")),
    "images: a link to themselves": _instead("train", _link("/train")),
    "images: a link to another file": _link_to_pipe,
    "images: kept in another file": _rows_in_pipe,
    "images: put together from other files": _instead("train", _virtual),
    "images: floats": _dataset("train", lambda rows: rows.astype(np.float32)),
    "images: signed bytes": _dataset("train", lambda rows: rows.astype(np.int8)),
    "images: texts": _dataset("train", lambda rows: ["a"] * len(rows), dtype=h5py.string_dtype()),
    "images: compressed": _dataset("train", lambda rows: rows, compression="gzip"),
    "images: grey": _dataset("train", lambda rows: rows[..., 0]),
    "images: colours first": _dataset("train", lambda rows: rows.transpose(0, 3, 1, 2)),
    "images: smaller": _dataset("train", lambda rows: rows[:, :24, :24]),
    "images: one less": _dataset("train", lambda rows: rows[:-1]),
    "masks: missing": _hdf5(lambda file: file.pop("masks")),
    "masks: those of one split are missing": _hdf5(lambda file: file.pop("masks/train")),
    "masks: a dataset for all": _instead(
        "masks/train", lambda file, *_: (file.pop("masks"), _put(file, "masks", [1, 2]))
    ),
    "masks: a link to another file": _instead(
        "masks/train", lambda file, name, _: _put(file, name, h5py.ExternalLink("away.h5", "/m"))
    ),
    "masks: of 16 bits": _dataset("masks/train", lambda rows: rows.astype(np.uint16)),
    "masks: with a channel": _dataset("masks/train", lambda rows: rows[..., None]),
    "masks: one less": _dataset("masks/train", lambda rows: rows[:-1]),
    "ids: missing": _hdf5(lambda file: file.pop("ids")),
    "ids: numbers": _dataset("ids/train", lambda rows: np.arange(len(rows))),
    "ids: one less": _dataset("ids/train", lambda rows: rows[:-1]),
    "ids: a group": _instead("ids/train", lambda file, name, _: file.create_group(name)),
}
