"""The embeddings of a split, and the scores between its images and its schemas."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nsi_cli.evaluation.predictions import Predictions
from nsi_cli.models.alignment import align, score_matrix

Rows = slice | Sequence[int]


class SplitEmbeddings:
    """Collects the embeddings of slots (n, K, E) and primitives (n, T, E) of a split, float32.

    Only these grow with a split; masks are released after each batch.
    """

    def __init__(self, device: str = "cpu") -> None:
        self._device = device
        self._batches: list[tuple[Tensor, Tensor, Tensor]] = []
        self._alignment = "max"

    def add(self, predictions: Predictions) -> None:
        """Add the embeddings of a batch. Raises `NsiError` if one is not finite."""
        predictions.check_finite()
        present, slots = predictions.present, predictions.slot_embeddings
        primitives = np.where(present[..., None], predictions.primitive_embeddings, 0)
        slots_, primitives_, present_ = (
            torch.from_numpy(np.ascontiguousarray(array)).to(self._device)
            for array in (slots, primitives, present)
        )
        self._batches.append((slots_, primitives_, present_))
        self._alignment = predictions.alignment

    def __len__(self) -> int:
        return sum(len(slots) for slots, _, _ in self._batches)

    @property
    def slots(self) -> Tensor:
        """Slot embeddings (n, K, E)."""
        return self._joined()[0]

    @property
    def primitives(self) -> Tensor:
        """Primitive embeddings (n, T, E), zero where absent."""
        return self._joined()[1]

    @property
    def present(self) -> Tensor:
        """Which primitives are present, (n, T) bool."""
        return self._joined()[2]

    def padded(self, count: int) -> SplitEmbeddings:
        """The same embeddings followed by scenes of zeros, ``count`` in all."""
        padded = SplitEmbeddings(self._device)
        padded._alignment = self._alignment
        more = count - len(self)
        slots, primitives, present = (
            F.pad(part, (0, 0) * (part.ndim - 1) + (0, more)) for part in self._joined()
        )
        padded._batches = [(slots, primitives, present)]
        return padded

    def scores(
        self,
        slots: Tensor,
        schemas: Rows,
        floor: Tensor | None = None,
        *,
        chunk: int | None = None,
    ) -> Tensor:
        """The scores S_ij of slot embeddings (B, K, E) with some of the split's schemas.

        A score below ``floor`` (B, n) may be −∞ instead, which saves solving its matching.
        ``chunk`` is that of `score_matrix`.
        """
        return score_matrix(
            slots, self.primitives[schemas], self.present[schemas],
            alignment=self._alignment, floor=floor, chunk=chunk,
        )  # fmt: skip

    def object_scores(self, slots: Tensor, schema: int) -> Tensor:
        """The share of each primitive (T,) in the score of slots (K, E) with one of the schemas."""
        primitives, present = self.primitives[[schema]], self.present[[schema]]
        alignment = align(slots[None], primitives, present, alignment=self._alignment)
        return torch.where(present, alignment.score, 0.0)[0]

    def _joined(self) -> tuple[Tensor, Tensor, Tensor]:
        if len(self._batches) > 1:
            slots, primitives, present = map(torch.cat, zip(*self._batches, strict=True))
            self._batches = [(slots, primitives, present)]
        return self._batches[0]
