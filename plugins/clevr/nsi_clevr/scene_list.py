"""The positions of the scenes in a JSON file, which is read once and in blocks.

The file of CLEVR's training scenes would take more than a gigabyte as Python objects. Only the
position of each scene is kept, 12 bytes; a worker reads and parses the bytes of its scene.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, overload

from nsi_cli.plugins import DataError, open_regular

LARGEST_SCENE = 4_000_000  # bytes; a published one has a few thousand
_BLOCK = 1 << 20
_SPACE = " \t\r\n"
_TAIL = 4  # so many characters after a number show that it ends there, not at the end of a block


@dataclass(frozen=True, slots=True)
class SceneSource:
    """One scene: the bytes ``start`` to ``start`` + ``size`` of a split's JSON file."""

    path: str
    split: str
    number: int
    start: int
    size: int

    def __str__(self) -> str:
        return f"scene {self.number} of {Path(self.path).name}"


class SceneList(Sequence[SceneSource]):
    """The scenes of a JSON file, or some of them; each is created on access."""

    def __init__(self, path: str, split: str, starts: array[int], sizes: array[int],
                 scenes: range | None = None) -> None:  # fmt: skip
        self._path, self._split, self._starts, self._sizes = path, split, starts, sizes
        self._scenes = range(len(starts)) if scenes is None else scenes

    def __len__(self) -> int:
        return len(self._scenes)

    @overload
    def __getitem__(self, index: int) -> SceneSource: ...

    @overload
    def __getitem__(self, index: slice) -> SceneList: ...

    def __getitem__(self, index: int | slice) -> SceneSource | SceneList:
        if isinstance(index, slice):
            scenes = self._scenes[index]
            return SceneList(self._path, self._split, self._starts, self._sizes, scenes)
        number = self._scenes[index]
        start, size = self._starts[number], self._sizes[number]
        return SceneSource(self._path, self._split, number, start, size)


def read_scene_list(path: Path, split: str) -> SceneList:
    """Find the scenes of a split's JSON file. Raises `DataError` if it is damaged."""
    starts, sizes = array("q"), array("i")
    try:
        with open_regular(path) as file:
            for start, end in _positions(_Blocks(file)):
                starts.append(start)
                sizes.append(end - start)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}", "check the file") from None
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path} is damaged or truncated: {error}",
            "restore it from the archive, or remove it and use --download",
        ) from None
    if not starts:
        raise DataError(f"{path} has no scene", "restore it from the archive")
    return SceneList(str(path), split, starts, sizes)


def _positions(blocks: _Blocks) -> Iterator[tuple[int, int]]:
    """The position of each item of the list ``scenes`` of a JSON object. Raises `ValueError`."""
    found, mark = False, blocks.take("{")
    if blocks.peek() == "}":
        mark = blocks.take("}")
    while mark != "}":
        key = blocks.value()
        blocks.take(":")
        if key == "scenes":
            found = True
            yield from _items(blocks)
        else:
            blocks.value()
        mark = blocks.take(",}")
    if blocks.peek():
        raise ValueError(f"other data follows its end, at byte {blocks.position}")
    if not found:
        raise ValueError("it has no list 'scenes'")


def _items(blocks: _Blocks) -> Iterator[tuple[int, int]]:
    mark = blocks.take("[")
    if blocks.peek() == "]":
        mark = blocks.take("]")
    while mark != "]":
        blocks.peek()  # skips spaces
        start = blocks.position
        if not isinstance(blocks.value(), dict):
            raise ValueError(f"a scene is not a JSON object, at byte {start}")
        yield start, blocks.position
        mark = blocks.take(",]")


class _Blocks:
    """A JSON file as text, of which only the part that is being parsed is in memory.

    Each byte is a character (Latin-1), so positions in the text are positions in the file.
    """

    def __init__(self, file: BufferedReader) -> None:
        self._file, self._text, self._at, self._before = file, "", 0, 0
        self._decoder = json.JSONDecoder()

    @property
    def position(self) -> int:
        """The number of bytes before the next character."""
        return self._before + self._at

    def peek(self) -> str:
        """Skip spaces and return the next character, empty at the end of the file."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in _SPACE:
                    return self._text[self._at]
                self._at += 1
            if not self._read():
                return ""

    def take(self, expected: str) -> str:
        """Skip spaces and return the next character. Raises `ValueError` unless expected."""
        found = self.peek()
        if not found or found not in expected:
            what = repr(found) if found else "the end of the file"
            raise ValueError(f"{what} instead of {' or '.join(expected)}, at byte {self.position}")
        self._at += 1
        return found

    def value(self) -> Any:
        """Skip spaces and return the next value. Raises `ValueError` if there is none."""
        self.peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                position = self._before + error.pos
                if self._read():
                    continue
                raise ValueError(f"{error.msg}, at byte {position}") from None
            if end + _TAIL > len(self._text) and self._read():
                continue
            self._at = end
            return value

    def _read(self) -> bool:
        """Read one more block; return whether there is one. Forgets what was parsed."""
        if len(self._text) - self._at > LARGEST_SCENE:
            return False
        block = self._file.read(_BLOCK)
        if block:
            self._text = self._text[self._at :] + block.decode("latin-1")
            self._before, self._at = self._before + self._at, 0
        return bool(block)
