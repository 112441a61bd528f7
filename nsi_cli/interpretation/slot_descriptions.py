"""What each slot of an image shows: the most likely values, and how familiar the slot is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp

from nsi_cli.evaluation.candidates import Candidates
from nsi_cli.evaluation.predict import EncodePrimitives
from nsi_cli.evaluation.predictions import Floats, Predictions
from nsi_cli.evaluation.read_out import read_out, value_candidates
from nsi_cli.evaluation.records import Columns
from nsi_cli.evaluation.segments import segments
from nsi_cli.interpretation.plots import Picture, Plotted, picture_grid, spotlight
from nsi_cli.schema import Schema

if TYPE_CHECKING:
    from nsi_cli.interpretation.data_figure import DataFigure

UNFAMILIAR = 0.05
"""A slot with a lower familiarity is marked as unfamiliar."""

_MOST_PRODUCTS = 2**24


@dataclass(frozen=True)
class SlotDescription:
    """A slot of one image."""

    slot: int
    share: float  # of the image that its segment covers
    values: Mapping[str, str]  # the most likely value of each categorical property
    probabilities: Mapping[str, Mapping[str, float]]  # of all values of each property
    numbers: Mapping[str, tuple[float, ...]]  # of each continuous property
    score: float  # with the primitive that fits best
    familiarity: float  # share of training objects whose slots have a lower best score

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "slot": self.slot,
            "share": self.share,
            "values": {
                name: {"value": value, "probability": self.probabilities[name][value]}
                for name, value in self.values.items()
            },
            "numbers": {name: list(value) for name, value in self.numbers.items()},
            "score": self.score,
            "familiarity": self.familiarity,
        }


@dataclass(frozen=True)
class ImageDescription:
    """An image and what each of its slots shows."""

    name: str
    image: npt.NDArray[np.uint8]  # (S, S, 3), as the model sees it
    masks: Floats  # (K, h, w)
    slots: tuple[SlotDescription, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, without the image and the masks."""
        return {"name": self.name, "slots": [slot.to_dict() for slot in self.slots]}

    def headings(self) -> tuple[str, ...]:
        """The headings of `rows`: one for each categorical property."""
        names = list(self.slots[0].values) if self.slots else []
        return ("slot", "share", *names, "familiarity")

    def rows(self) -> list[tuple[str, ...]]:
        """Text for a table under `headings`, the largest slots first, without those of no pixel."""
        return [
            (
                str(slot.slot + 1),
                _percent(slot.share),
                *(
                    f"{value} ({_percent(slot.probabilities[name][value])})"
                    for name, value in slot.values.items()
                ),
                _percent(slot.familiarity)
                + (", unfamiliar" if slot.familiarity < UNFAMILIAR else ""),
            )
            for slot in sorted(self.slots, key=lambda slot: -slot.share)
            if slot.share
        ]

    def notes(self) -> list[str]:
        """What the table does not show, and what its columns mean."""
        empty = [str(slot.slot + 1) for slot in self.slots if not slot.share]
        take = "slot takes" if len(empty) == 1 else "slots take"
        return [
            *([f"{len(empty)} {take} no pixel: {', '.join(empty)}"] if empty else []),
            "share: of the image's pixels; in parentheses: probability; familiarity: share of the "
            f"training objects whose slots score lower, unfamiliar below {_percent(UNFAMILIAR)}",
            "slots are numbered from 1 here and in figures, from 0 in Python and in CSV",
        ]


@dataclass(frozen=True, repr=False)
class Descriptions(Plotted):
    """Images and what each of their slots shows."""

    images: tuple[ImageDescription, ...]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, number: int) -> ImageDescription:
        return self.images[number]

    def __iter__(self) -> Iterator[ImageDescription]:
        return iter(self.images)

    def to_dict(self) -> list[dict[str, Any]]:
        """Plain values, without images and masks."""
        return [one.to_dict() for one in self.images]

    def columns(self) -> Columns:
        """A row for each slot of each image."""
        rows = [(one.name, slot) for one in self.images for slot in one.slots]
        slots = [slot for _, slot in rows]
        columns: Columns = {
            "image": np.array([name for name, _ in rows], dtype=object),
            "slot": np.array([slot.slot for slot in slots], np.int64),
            "share": np.array([slot.share for slot in slots]),
            "familiarity": np.array([slot.familiarity for slot in slots]),
            "score": np.array([slot.score for slot in slots]),
        }
        for name in slots[0].values if slots else ():
            likely = [(slot.values[name], slot.probabilities[name]) for slot in slots]
            columns[name] = np.array([value for value, _ in likely], dtype=object)
            columns[f"{name}_probability"] = np.array([own[value] for value, own in likely])
        return columns

    def plot(self, most: int = 6) -> DataFigure:
        """A row for each image: the image, then its ``most`` most familiar slots."""
        rows = []
        for one in self.images:
            familiar = sorted(one.slots, key=lambda slot: -slot.familiarity)[:most]
            pictures = [
                Picture(
                    spotlight(one.image, one.masks[slot.slot]),
                    "\n".join((f"slot {slot.slot + 1}", *slot.values.values())),
                )
                for slot in familiar
            ]
            rows.append([Picture(one.image, one.name), *pictures])
        return picture_grid(rows, self.columns())


@dataclass(frozen=True)
class Reader:
    """Describes slots by their scores with candidate primitives.

    The probability of a primitive is proportional to exp(score / τ), as in the contrastive loss,
    with a uniform prior over the candidates. The probability of a value is the sum over the
    candidates that have it. ``reference`` holds the best scores (n,) of the slots of training
    objects, sorted.
    """

    schema: Schema  # with the range of the training data as bounds
    encode: EncodePrimitives
    found: Candidates
    tau: float
    excluded: tuple[str, ...]
    reference: Floats

    @classmethod
    def of(
        cls, schema: Schema, encode: EncodePrimitives, tau: float, excluded: Sequence[str] = ()
    ) -> Reader:
        """A reader without a reference."""
        found = value_candidates(schema, encode, excluded=excluded)
        return cls(schema, encode, found, tau, tuple(excluded), np.zeros(0, np.float32))

    def best_scores(self, slots: Floats) -> Floats:
        """The highest score of each slot (n, E) with any candidate, (n,)."""
        columns = self.found.embeddings.reshape(-1, slots.shape[1]).T
        step = max(1, _MOST_PRODUCTS // columns.shape[1])
        parts = [
            (slots[start : start + step] @ columns).max(1) for start in range(0, len(slots), step)
        ]
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def familiarity(self, slots: Floats) -> npt.NDArray[np.float64]:
        """The share of the reference scores below the best score of each slot (n, E), (n,)."""
        ranks = np.searchsorted(self.reference, self.best_scores(slots))
        return ranks / max(1, len(self.reference))

    def describe(self, predictions: Predictions) -> list[tuple[SlotDescription, ...]]:
        """Describe every slot of every image of a batch."""
        images, count, width = predictions.slot_embeddings.shape
        slots = predictions.slot_embeddings.reshape(images * count, width)
        primitives, scores = read_out(
            slots, self.schema, self.encode, excluded=self.excluded, start=self.found
        )
        familiarity, shares = self.familiarity(slots), _shares(predictions).ravel()
        described = [
            SlotDescription(
                slot=row % count,
                share=float(shares[row]),
                values={name: max(own, key=own.__getitem__) for name, own in likely.items()},
                probabilities=likely,
                numbers=self._numbers(primitives[row]),
                score=float(scores[row]),
                familiarity=float(familiarity[row]),
            )
            for row, likely in enumerate(self._probabilities(slots))
        ]
        return [tuple(described[row * count : (row + 1) * count]) for row in range(images)]

    def _numbers(self, primitive: Floats) -> dict[str, tuple[float, ...]]:
        """The values of the continuous properties of a primitive (W,)."""
        return {
            item.name: tuple(primitive[self.schema.columns[item.name]].tolist())
            for item in self.schema.continuous
            if item.name not in self.excluded
        }

    def probabilities(self, slots: Floats) -> dict[str, npt.NDArray[np.float64]]:
        """The probability of each value of each categorical property, (n, V), for slots (n, E)."""
        count, points, width = self.found.embeddings.shape
        columns = self.found.embeddings.reshape(-1, width).T
        ids = self.found.primitives[:, 0].astype(int)  # (M, W)
        kept = [item for item in self.schema.categorical if item.name not in self.excluded]
        has = [  # which combinations have each value, (M, V)
            ids[:, self.schema.columns[item.name].start, None] == np.arange(len(item.values))
            for item in kept
        ]
        parts: list[list[npt.NDArray[np.float64]]] = [[] for _ in kept]
        step = max(1, _MOST_PRODUCTS // columns.shape[1])
        for start in range(0, len(slots), step):
            scores = (slots[start : start + step] @ columns / self.tau).astype(np.float64)
            logits = logsumexp(scores.reshape(-1, count, points), axis=2)
            weights = np.exp(logits - logsumexp(logits, axis=1, keepdims=True))  # (n, M)
            for part, own in zip(parts, has, strict=True):
                part.append(weights @ own)
        empty = [np.zeros((0, len(item.values))) for item in kept]
        return {
            item.name: np.concatenate([none, *part])
            for item, none, part in zip(kept, empty, parts, strict=True)
        }

    def _probabilities(self, slots: Floats) -> list[dict[str, dict[str, float]]]:
        """The same for each slot (n, E), by the names of the values."""
        tables = self.probabilities(slots)
        return [
            {
                item.name: dict(zip(item.values, tables[item.name][slot].tolist(), strict=True))
                for item in self.schema.categorical
                if item.name in tables
            }
            for slot in range(len(slots))
        ]


def _percent(share: float) -> str:
    """A share in percent; one that would round to 0 is shown as below 1."""
    return "<1 %" if 0 < share < 0.005 else f"{100 * share:.0f} %"


def _shares(predictions: Predictions) -> npt.NDArray[np.float64]:
    """The share of each image that the segment of each slot covers, (B, K)."""
    count = predictions.masks.shape[1]
    found = segments(predictions.masks, predictions.masks.shape[-1] * 8)
    return np.stack([np.bincount(one.ravel(), minlength=count) / one.size for one in found])


def object_scores(reader: Reader, predictions: Predictions) -> Floats:
    """The best scores of the slots that the objects of a batch align with, (n,)."""
    scene, row = np.nonzero(predictions.present & (predictions.aligned_slot >= 0))
    slots = predictions.slot_embeddings[scene, predictions.aligned_slot[scene, row]]
    return reader.best_scores(slots)
