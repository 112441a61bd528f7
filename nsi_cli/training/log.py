"""The log of a training: ``metrics.jsonl``, and the same for TensorBoard."""

from __future__ import annotations

import colorsys
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from nsi_cli.models.image_encoder import ImageEncoding
from nsi_cli.support.files import disk_errors_explained

# A named pipe in place of the file is an error, where it would make a writer wait.
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NONBLOCK", 0)


class Log:
    """The log of a process that writes nothing, since another one does."""

    def write(self, kind: str, step: int, measures: dict[str, float | int]) -> None:
        """Write the metrics of a kind ('train' or 'val') after ``step`` steps."""

    def picture(self, name: str, step: int, picture: npt.NDArray[np.uint8]) -> None:
        """Write a picture (H, W, 3)."""

    def flush(self) -> None:
        """Write everything to disk; called before a checkpoint is saved."""

    def close(self) -> None:
        """Flush and close."""


class RunLog(Log):
    """Appends metrics to a run's log; a resumed run first drops lines after its checkpoint."""

    def __init__(self, metrics: Path, tensorboard: Path, *, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._path = metrics
        _drop_after(metrics, step)
        with disk_errors_explained(metrics):
            self._file = os.fdopen(os.open(metrics, _APPEND, 0o666), "a", encoding="utf-8")
        self._board = SummaryWriter(str(tensorboard), purge_step=step + 1)

    def write(self, kind: str, step: int, measures: dict[str, float | int]) -> None:
        """Write one JSON object, and the same to TensorBoard."""
        with disk_errors_explained(self._path):
            self._file.write(json.dumps({"kind": kind, "step": step, **measures}) + "\n")
        for name, value in measures.items():
            self._board.add_scalar(f"{kind}/{name}", value, step)

    def picture(self, name: str, step: int, picture: npt.NDArray[np.uint8]) -> None:
        """Write a picture to TensorBoard."""
        self._board.add_image(name, picture, step, dataformats="HWC")

    def flush(self) -> None:
        """Write everything to disk."""
        with disk_errors_explained(self._path):
            self._file.flush()
            os.fsync(self._file.fileno())
            self._board.flush()

    def close(self) -> None:
        """Flush and close."""
        self.flush()
        self._file.close()
        self._board.close()


def _drop_after(metrics: Path, step: int) -> None:
    """Drop lines of steps that the resumed run will repeat, and a half-written last line."""
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
        line_values: Any = json.loads(line)
        return int(line_values["step"])
    except (ValueError, KeyError, TypeError):
        return 2**62


def slot_pictures(
    images: Tensor, encoding: ImageEncoding, grid: tuple[int, int]
) -> npt.NDArray[np.uint8]:
    """Images (n, 3, S, S) uint8 in two rows: the image, and its coloured slots.

    The masks are the slot masks if the model has a decoder, else the attention masks.
    Returns (2·S, n·S, 3) uint8.
    """
    masks = encoding.attention_masks if encoding.slot_masks is None else encoding.slot_masks
    masks = masks.float()
    size = images.shape[-2:]
    fine = F.interpolate(masks.reshape(*masks.shape[:2], *grid), size=size, mode="bilinear")
    colors = torch.tensor(slot_colors(masks.shape[1]), device=masks.device)  # (K, 3)
    painted = (colors[fine.argmax(1)] * 255).permute(0, 3, 1, 2)  # (B, 3, S, S)
    mixed = 0.4 * images + 0.6 * painted
    rows = [torch.cat(list(picture), dim=-1) for picture in (images.float(), mixed)]
    array = torch.cat(rows, dim=-2).permute(1, 2, 0).round().to(torch.uint8)
    return np.asarray(array.cpu())


def slot_colors(count: int) -> list[tuple[float, float, float]]:
    """``count`` colours told apart by hue, as red, green, blue in [0, 1]."""
    return [colorsys.hsv_to_rgb(k / count, 0.75, 0.6 + 0.4 * (k % 2)) for k in range(count)]
