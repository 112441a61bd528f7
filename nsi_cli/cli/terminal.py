"""A terminal that is closed while a command runs."""

from __future__ import annotations

import errno
import io
import sys
from typing import Any


def survive_closed_terminal() -> None:
    """Drop what is written to a closed terminal.

    Otherwise the write fails with EIO, and with it the command, which has work to save first.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if sys.platform != "win32" and stream is not None and stream.isatty():
            raw = io.BufferedWriter(_Terminal(stream.fileno(), "w", closefd=False))
            lines = io.TextIOWrapper(raw, stream.encoding, stream.errors, line_buffering=True)
            setattr(sys, name, lines)


class _Terminal(io.FileIO):
    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return memoryview(data).nbytes
