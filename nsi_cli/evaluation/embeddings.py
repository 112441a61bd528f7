"""The embeddings of a whole split, and the scores between its images and its schemas."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nsi_cli.evaluation.predictions import Predictions
from nsi_cli.models.alignment import score_matrix
from nsi_cli.support.errors import NsiError

Places = slice | Sequence[int]


class SplitEmbeddings:
    """Collects the embeddings of slots (n, K, E) and primitives (n, T, E) of a split, float32.

    Only these grow with a split; masks and images are released after each batch.
    """

    def __init__(self, device: str = "cpu") -> None:
        self._device = device
        self._parts: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
        self.alignment = "max"  # how the split's primitives pick slots

    def add(self, predictions: Predictions) -> None:
        """Add the embeddings of a batch. Raises `NsiError` if one is not finite."""
        primitives = np.where(predictions.present[..., None], predictions.primitive_embeddings, 0)
        if not (np.isfinite(predictions.slot_embeddings).all() and np.isfinite(primitives).all()):
            raise NsiError(
                "the model gives embeddings that are not finite numbers",
                "its training diverged: train again with a lower learning rate",
            )
        arrays = predictions.index, predictions.slot_embeddings, primitives, predictions.present
        index, slots, primitives_, present = (
            torch.from_numpy(np.ascontiguousarray(array)).to(self._device) for array in arrays
        )
        self._parts.append((index, slots, primitives_, present))
        self.alignment = predictions.alignment

    def __len__(self) -> int:
        return sum(len(part[0]) for part in self._parts)

    @property
    def index(self) -> npt.NDArray[np.int64]:
        """The index of each scene in its split, (n,)."""
        return self._joined()[0].cpu().numpy()

    @property
    def slots(self) -> Tensor:
        """Slot embeddings (n, K, E)."""
        return self._joined()[1]

    @property
    def primitives(self) -> Tensor:
        """Primitive embeddings (n, T, E), zero if absent."""
        return self._joined()[2]

    @property
    def present(self) -> Tensor:
        """Which primitives are present, (n, T) bool."""
        return self._joined()[3]

    def scores(self, images: Places, schemas: Places) -> Tensor:
        """The scores S_ij of some images with some schemas, by their rows."""
        return self.scores_of(self.slots[images], schemas)

    def scores_of(self, slots: Tensor, schemas: Places) -> Tensor:
        """The scores S_ij of slot embeddings (B, K, E) with some of the schemas."""
        primitives, present = self.primitives[schemas], self.present[schemas]
        return score_matrix(slots, primitives, present, alignment=self.alignment)

    def _joined(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        if len(self._parts) > 1:
            index, slots, primitives, present = (
                torch.cat(parts) for parts in zip(*self._parts, strict=True)
            )
            self._parts = [(index, slots, primitives, present)]
        return self._parts[0]
