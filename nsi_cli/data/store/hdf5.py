"""Reading the structure of ``images.h5`` without trusting it.

A name in an HDF5 file may be a link to another file, and a dataset may keep its rows in other
files. Both are refused: the file they name could be a pipe that never answers, and a store
is complete in its own folder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from nsi_cli.support.reading import open_regular, reason_of

MASKS, IDS = "masks", "ids"
"""The groups of masks and ids; the images of a split are a dataset of the root group."""

Shape = tuple[int, ...]


def image_shapes(counts: Mapping[str, int], size: int, *, masked: bool) -> dict[str, Shape]:
    """The shapes of the images and masks of a store, by the name of their dataset."""
    shapes: dict[str, Shape] = {split: (count, size, size, 3) for split, count in counts.items()}
    if masked:
        shapes |= {f"{MASKS}/{split}": (count, size, size) for split, count in counts.items()}
    return shapes


def id_shapes(counts: Mapping[str, int]) -> dict[str, Shape]:
    """The shapes of the scenes' ids, by the name of their dataset."""
    return {f"{IDS}/{split}": (count,) for split, count in counts.items()}


@contextmanager
def open_images(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading. Raises `OSError`."""
    # Through a Python file: HDF5 itself would block on a named pipe, and lock the file.
    with open_regular(path) as raw:
        try:
            with h5py.File(raw, "r") as file:
                yield file
        except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
            raise OSError(f"HDF5 cannot read it: {reason_of(error)}") from error


def dataset_names(file: h5py.File) -> list[str]:
    """The names of all images and masks in a file."""
    names = [name for name in file if name not in (MASKS, IDS)]
    if _is_own(file, MASKS) and isinstance(file[MASKS], h5py.Group):
        names += [f"{MASKS}/{name}" for name in file[MASKS]]
    return names


def dataset_at(file: h5py.File, name: str) -> h5py.Dataset:
    """The dataset of that name. Raises `OSError` unless it and its rows are in this file."""
    node = file
    for part in name.split("/"):
        if not isinstance(node, h5py.Group) or part not in list(node):
            raise OSError(f"there are no {describe(name)}")
        if not _is_own(node, part):
            raise OSError(f"{describe(name)} are a link")
        node = node[part]
    if not isinstance(node, h5py.Dataset):
        raise OSError(f"{describe(name)} are a {type(node).__name__.lower()}, not a dataset")
    if node.is_virtual or node.external:
        raise OSError(f"{describe(name)} are in another file")
    return node


def _is_own(group: h5py.Group, name: str) -> bool:
    """Whether a name in a group is an object of this file, and not a soft or external link."""
    own = group["."]  # a file itself has no links; this group must outlive them
    links, key = own.id.links, name.encode()
    return bool(links.exists(key) and links.get_info(key).type == h5py.h5l.TYPE_HARD)


def fault_of(file: h5py.File, name: str, shape: Shape) -> str | None:
    """The fault of a dataset's location, type or shape; None if there is none."""
    try:
        dataset = dataset_at(file, name)
        found, kind = dataset.shape, dataset.dtype
        text = name.startswith(f"{IDS}/")
        valid = h5py.check_string_dtype(kind) is not None if text else kind == np.uint8
        if found != shape or not valid:
            expected = f"{'text' if text else 'uint8'} {shape}"
            return f"{describe(name)} are {kind} {found}, not {expected}"
        if not (text or 0 in shape or _is_contiguous(dataset)):
            return f"{describe(name)} are not contiguous"
    except (OSError, TypeError, ValueError, LookupError, RuntimeError) as error:
        return reason_of(error)
    return None


def _is_contiguous(dataset: h5py.Dataset) -> bool:
    """Whether the rows of a dataset, which is not empty, are one run of bytes in the file."""
    size = dataset.size * dataset.dtype.itemsize
    return dataset.id.get_offset() is not None and dataset.id.get_storage_size() == size


def describe(name: str) -> str:
    """The content of the dataset of that name, for a message."""
    what, _, split = name.rpartition("/")
    return f"{what or 'images'} of split '{split}'"
