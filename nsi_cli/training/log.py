"""What a training writes down: ``metrics.jsonl``, and the same for TensorBoard."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nsi_cli.support.files import told_when_disk_fails

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

# A named pipe in place of the file is an error, where it would make a writer wait.
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NONBLOCK", 0)


class Log:
    """Where a training's measures go. This one keeps nothing: another process writes them."""

    def write(self, kind: str, step: int, measures: dict[str, float | int]) -> None:
        """One line of measures of a kind ('train' or 'val') after so many steps."""

    def picture(self, name: str, step: int, picture: npt.NDArray[np.uint8]) -> None:
        """A picture (H, W, 3)."""

    def flush(self) -> None:
        """Put everything on disk; called before a checkpoint that counts on it."""

    def close(self) -> None:
        """Flush and close."""


class RunLog(Log):
    """Appends measures to a run; a resumed run first forgets what came after its checkpoint."""

    def __init__(self, metrics: Path, tensorboard: Path, *, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._path = metrics
        _forget_after(metrics, step)
        with told_when_disk_fails(metrics):
            self._file = os.fdopen(os.open(metrics, _APPEND, 0o666), "a", encoding="utf-8")
        self._board = SummaryWriter(str(tensorboard), purge_step=step + 1)

    def write(self, kind: str, step: int, measures: dict[str, float | int]) -> None:
        """One JSON object, and the same for TensorBoard."""
        with told_when_disk_fails(self._path):
            self._file.write(json.dumps({"kind": kind, "step": step, **measures}) + "\n")
        for name, value in measures.items():
            self._board.add_scalar(f"{kind}/{name}", value, step)

    def picture(self, name: str, step: int, picture: npt.NDArray[np.uint8]) -> None:
        """For TensorBoard alone."""
        self._board.add_image(name, picture, step, dataformats="HWC")

    def flush(self) -> None:
        """Put everything on disk."""
        with told_when_disk_fails(self._path):
            self._file.flush()
            os.fsync(self._file.fileno())
            self._board.flush()

    def close(self) -> None:
        """Flush and close."""
        self.flush()
        self._file.close()
        self._board.close()


def _forget_after(metrics: Path, step: int) -> None:
    """Cut the lines of steps that the resumed run will do again, and a half-written last line."""
    if not metrics.is_file():
        return
    kept = 0
    with metrics.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n") or _step(line) > step:
                break
            kept += len(line)
    with metrics.open("rb+") as file:
        file.truncate(kept)


def _step(line: bytes) -> int:
    try:
        said: Any = json.loads(line)
        return int(said["step"])
    except (ValueError, KeyError, TypeError):
        return 2**62
