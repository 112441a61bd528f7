"""Many short texts in little more memory than their bytes."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable


class Texts:
    """Texts that are only ever added, such as the paths of fifty thousand files."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._bytes, self._ends = bytearray(), array("Q", [0])
        for text in texts:
            self.append(text)

    def append(self, text: str) -> None:
        """Add one, which may hold whatever a file's name may."""
        self._bytes += os.fsencode(text)
        self._ends.append(len(self._bytes))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, place: int) -> str:
        return os.fsdecode(bytes(self._bytes[self._ends[place] : self._ends[place + 1]]))
