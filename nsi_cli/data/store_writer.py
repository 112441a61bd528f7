"""Writing a store: scenes stream in, in order, and go to disk at once."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np

from nsi_cli.data.scene import Scene
from nsi_cli.data.steady_file import SteadyFile
from nsi_cli.data.store import BUILD, FORMAT, IMAGES, SCHEMA
from nsi_cli.errors import DataError
from nsi_cli.files import sha256, write_json
from nsi_cli.schema import Categorical, Schema


@dataclass
class _Split:
    """What is known of a split while it is written."""

    labels: list[np.ndarray[Any, Any]] = field(default_factory=list)
    dropped: int = 0


class StoreWriter:
    """Streams scenes of one size into a new folder; `finish` makes it a whole store.

    The images and masks go to disk as they come, so memory does not grow with their number.
    Raises `OSError` where the disk is full.
    """

    def __init__(self, folder: Path, schema: Schema, image_size: int) -> None:
        self._folder, self._schema, self._size = folder, schema, image_size
        self._disk = SteadyFile(folder / IMAGES)
        self._file = h5py.File(self._disk, "w")
        self._splits: dict[str, _Split] = {}
        self._masked: bool | None = None  # not known before the first scene

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        with suppress(OSError, RuntimeError):  # what went wrong is told already
            self._file.close()
        self._disk.close(whole=False)

    def add_split(self, split: str) -> None:
        """Begin a split; scenes are then added to it by its name."""
        if split in ("masks", "ids") or not split.isidentifier():
            raise DataError(
                f"a split cannot be called '{split}'", "use a plain word such as train or test"
            )
        size = self._size
        self._splits[split] = _Split()
        # One chunk a scene: random batches read no byte that they do not need.
        self._file.create_dataset(
            split, (0, size, size, 3), np.uint8, maxshape=(None, size, size, 3),
            chunks=(1, size, size, 3),
        )  # fmt: skip
        self._file.create_dataset(
            f"ids/{split}", (0,), h5py.string_dtype(), maxshape=(None,), chunks=(1024,)
        )

    def add(self, split: str, scenes: list[Scene]) -> None:
        """Append scenes, already at the store's size, to a split."""
        state = self._splits[split]
        self._append(split, np.stack([scene.image for scene in scenes]))
        self._append(f"ids/{split}", np.array([scene.id for scene in scenes], dtype=object))
        masks = [scene.mask for scene in scenes if scene.mask is not None]
        self._check_masked(scenes)
        if masks:
            self._append(f"masks/{split}", np.stack(masks))
        state.dropped += sum(scene.dropped for scene in scenes)
        state.labels += [self._checked(scene) for scene in scenes]
        self._disk.check()

    def _check_masked(self, scenes: list[Scene]) -> None:
        """All scenes must have a mask, or none, as the first one tells."""
        if self._masked is None:
            self._masked = scenes[0].mask is not None
            if self._masked:
                self._add_masks()
        for scene in scenes:
            if (scene.mask is not None) != self._masked:
                raise DataError(
                    f"scene {scene.id} has {'no' if self._masked else 'a'} mask, unlike those "
                    "before it",
                    "give every scene a mask, or none",
                )

    def _add_masks(self) -> None:
        shape = (self._size, self._size)
        for split in self._splits:
            self._file.create_dataset(
                f"masks/{split}", (0, *shape), np.uint8, maxshape=(None, *shape),
                chunks=(1, *shape), compression="lzf",
            )  # fmt: skip

    def _append(self, name: str, rows: np.ndarray[Any, Any]) -> None:
        dataset = self._file[name]
        start = dataset.shape[0]
        dataset.resize(start + len(rows), axis=0)
        dataset[start:] = rows

    def _checked(self, scene: Scene) -> np.ndarray[Any, Any]:
        rows = scene.primitives
        if rows.shape[1] != self._schema.width or len(rows) > self._schema.max_objects:
            raise DataError(
                f"scene {scene.id}: primitives of shape {rows.shape} do not fit the schema",
                f"at most {self._schema.max_objects} rows of {self._schema.width} columns",
            )
        return rows

    def finish(self, task: str, told: dict[str, Any]) -> dict[str, Any]:
        """Write labels, schema and vocabularies, and last ``build.json`` with ``told`` in it."""
        self._file.close()
        self._disk.close(whole=True)
        for split, state in self._splits.items():
            self._write_labels(split, state.labels)
        write_json(self._folder / SCHEMA, self._schema.to_json())
        for name, data in vocabularies(self._schema).items():
            write_json(self._folder / name, data)
        build = {
            "format": FORMAT,
            "task": task,
            "image_size": self._size,
            "masks": bool(self._masked),
            "schema": self._schema.fingerprint,
            "splits": {split: _counts(state) for split, state in self._splits.items()},
            **told,
            "files": _files(self._folder),
        }
        write_json(self._folder / BUILD, build)
        return build

    def _write_labels(self, split: str, labels: list[np.ndarray[Any, Any]]) -> None:
        shape = (len(labels), self._schema.max_objects, self._schema.width)
        padded = np.zeros(shape, dtype=np.float32)
        for place, rows in enumerate(labels):
            padded[place, : len(rows)] = rows
        lengths = np.array([len(rows) for rows in labels], dtype=np.int64)
        self._save(f"{split}_labels.npy", padded)
        self._save(f"{split}_lengths.npy", lengths)

    def _save(self, name: str, array: np.ndarray[Any, Any]) -> None:
        # Through memory: numpy's own writing to a file does not tell that a disk is full.
        buffer = BytesIO()
        np.save(buffer, array, allow_pickle=False)
        (self._folder / name).write_bytes(buffer.getbuffer())


def _counts(state: _Split) -> dict[str, int]:
    objects = sum(len(rows) for rows in state.labels)
    return {"scenes": len(state.labels), "objects": objects, "dropped_objects": state.dropped}


def _files(folder: Path) -> dict[str, dict[str, Any]]:
    return {
        file.name: {"bytes": file.stat().st_size, "sha256": sha256(file)}
        for file in sorted(folder.iterdir())
    }


def vocabularies(schema: Schema) -> dict[str, Any]:
    """The three published label files: what values there are, their ids, and the way back."""
    space = {
        item.name: list(item.values)
        if isinstance(item, Categorical)
        else {"size": item.size, "low": list(item.lows), "high": list(item.highs)}
        for item in schema.properties
    }
    ids = {item.name: {v: i for i, v in enumerate(item.values)} for item in schema.categorical}
    back = {name: {str(i): v for v, i in values.items()} for name, values in ids.items()}
    return {
        "program_space.json": space,
        "program2label.json": ids,
        "label2program.json": back,
    }
