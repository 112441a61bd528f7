"""A batch of scenes, padded to the schema's largest number of objects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

TensorMap = Callable[[Tensor], Tensor]

SMALL = 1 << 17
"""Tensors of fewer bytes are copied to another process, not shared with it."""


@dataclass(frozen=True)
class Batch:
    """B scenes as tensors; images are None if features replace them."""

    index: Tensor  # (B,) int64, the index of each scene in its split
    primitives: Tensor  # (B, T, W) float32
    present: Tensor  # (B, T) bool
    images: Tensor | None = None  # (B, 3, S, S) uint8
    masks: Tensor | None = None  # (B, S, S) uint8
    features: Tensor | None = None  # (B, N, C) float16 or float32
    scene_labels: Tensor | None = None  # (B,) int64, −1 if unknown; None if the store has none

    def __len__(self) -> int:
        return len(self.index)

    def map(self, move: TensorMap) -> Batch:
        """The batch with ``move`` applied to each of its tensors."""
        tensors = {field.name: getattr(self, field.name) for field in fields(self)}
        moved = {name: move(value) for name, value in tensors.items() if value is not None}
        return replace(self, **moved)

    def rows(self, wanted: slice) -> Batch:
        """Some of the scenes."""
        return self.map(lambda tensor: tensor[wanted])

    def pin_memory(self) -> Batch:
        """The batch in page-locked memory; torch's loaders look for this method by its name."""
        return self.map(Tensor.pin_memory)

    def __reduce__(self) -> tuple[Any, ...]:
        """Send small tensors between processes in the message itself.

        Torch would share the memory of each, which takes another exchange between the processes.
        """
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        return _from_parts, ({name: _small_as_array(part) for name, part in parts.items()},)


def _small_as_array(part: Tensor | None) -> Any:
    if part is None or part.device.type != "cpu" or part.nbytes >= SMALL:
        return part
    return part.numpy()


def _from_parts(parts: dict[str, Any]) -> Batch:
    tensors = {
        name: torch.from_numpy(part) if isinstance(part, np.ndarray) else part
        for name, part in parts.items()
    }
    return Batch(**tensors)
