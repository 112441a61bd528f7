"""Instance masks of a scene: painting the pixels of each object, and reading them from files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nsi_cli.plugins.raw_files import read_mask_values
from nsi_cli.support.errors import DataError

Pixels = npt.NDArray[np.bool_]
Layers = Iterator[Pixels | None]
"""For each object, the pixels of its mask (H, W); None if it has none."""


def painted(layers: Layers, shape: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Return the mask (H, W) of objects, numbered from 1; small ones are above large ones."""
    known = [
        (-int(pixels.sum()), number, pixels)
        for number, pixels in enumerate(layers, start=1)
        if pixels is not None
    ]
    mask = np.zeros(shape, np.uint8)
    for _, number, pixels in sorted(known, key=lambda layer: layer[:2]):
        mask[pixels] = number
    return mask


def layers_of_files(
    paths: Sequence[str], values: Sequence[str], shape: tuple[int, int], hint: str
) -> Layers:
    """Yield the pixels of each object: those with its value in its file, or, without values, all
    but those with the value 0. Raises `DataError`.
    """  # fmt: skip
    files = {path: _sized(Path(path), shape, hint) for path in set(paths) if path}
    for index, path in enumerate(paths):
        if not path:
            yield None
        elif values:
            yield files[path] == _value(values[index], path)
        else:
            yield files[path] != 0


def _sized(path: Path, shape: tuple[int, int], hint: str) -> npt.NDArray[np.int64]:
    values = read_mask_values(path, hint=hint)
    if values.shape != shape:
        raise DataError(
            f"{path.name}: a mask of {values.shape[1]}×{values.shape[0]} pixels, but the image has "
            f"{shape[1]}×{shape[0]}",
            hint,
        )
    return values


def _value(text: str, path: str) -> int:
    """Return an object's value in its mask: a number, or a colour as 0xRRGGBB."""
    if re.fullmatch(r"\d+", text):
        return int(text)
    if re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        return int(text[1:], 16)
    parts = re.fullmatch(r"[\[(]?(\d{1,3})[, ]+(\d{1,3})[, ]+(\d{1,3})[\])]?", text)
    if parts is None:
        raise DataError(
            f"{Path(path).name}: {text!r} is not a value of a mask", "a number, #rrggbb, or r,g,b"
        )
    red, green, blue = map(int, parts.groups())
    return (red << 16) + (green << 8) + blue
