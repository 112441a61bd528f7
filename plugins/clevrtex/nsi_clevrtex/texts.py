"""A memory-efficient list of short texts."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable


class Texts:
    """An append-only list of texts, such as the paths of fifty thousand files."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._bytes, self._ends = bytearray(), array("Q", [0])
        for text in texts:
            self.append(text)

    def append(self, text: str) -> None:
        """Append a text, which may contain any character of a file name."""
        self._bytes += os.fsencode(text)
        self._ends.append(len(self._bytes))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: int) -> str:
        return os.fsdecode(bytes(self._bytes[self._ends[index] : self._ends[index + 1]]))
