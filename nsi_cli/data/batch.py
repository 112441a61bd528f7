"""A batch: scenes side by side, padded to the schema's most objects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

from torch import Tensor

TensorMap = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Batch:
    """B scenes as tensors. The image may be left out where its features stand in for it."""

    index: Tensor  # (B,) int64, the place of each scene in its split
    primitives: Tensor  # (B, T, W) float32
    present: Tensor  # (B, T) bool
    images: Tensor | None = None  # (B, 3, S, S) uint8
    masks: Tensor | None = None  # (B, S, S) uint8
    features: Tensor | None = None  # (B, N, C) float16 or float32

    def __len__(self) -> int:
        return len(self.index)

    def map(self, move: TensorMap) -> Batch:
        """The batch with ``move`` applied to each of its tensors."""
        tensors = {field.name: getattr(self, field.name) for field in fields(self)}
        moved = {name: move(value) for name, value in tensors.items() if value is not None}
        return replace(self, **moved)
