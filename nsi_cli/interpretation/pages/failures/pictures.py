"""The pictures of failures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from nsi_cli.interpretation.description import describe
from nsi_cli.interpretation.pages.collect import Collected
from nsi_cli.interpretation.pages.failures.segmentation import Example, Failure, Failures
from nsi_cli.interpretation.pages.pictures import photo_uri
from nsi_cli.interpretation.plots import Pixels, spotlight
from nsi_cli.schema import Schema

SIDE = 168


@dataclass(frozen=True)
class FailurePicture:
    """An image with the objects outlined and the slots lit."""

    picture: str  # a data URI
    scene: str
    objects: tuple[str, ...]
    slots: tuple[int, ...]


@dataclass(frozen=True)
class FailureShelf:
    """A kind of failure with its examples."""

    name: str  # elsewhere, several or divided
    count: int
    total: int
    examples: tuple[FailurePicture, ...]


def failure_shelves(
    failures: Failures,
    collected: Collected,
    schema: Schema,
    ids: Sequence[str],
    images: Callable[[Sequence[int]], Pixels],
) -> list[FailureShelf]:
    """The shelves of all kinds; ``ids`` and ``images`` are those of the split."""
    rows = {int(index): row for row, index in enumerate(collected.index)}

    def picture(one: Example) -> FailurePicture:
        primitives = collected.primitives[rows[one.index]]
        return FailurePicture(
            picture=photo_uri(drawn(images([one.index])[0], one), SIDE),
            scene=ids[one.index],
            objects=tuple(describe(schema, primitives[row]).line for row in one.rows),
            slots=one.slots,
        )

    def shelf(name: str, failure: Failure) -> FailureShelf:
        examples = tuple(picture(one) for one in failure.examples)
        return FailureShelf(name, failure.count, failure.total, examples)

    return [shelf(name, getattr(failures, name)) for name in ("elsewhere", "several", "divided")]


def drawn(image: Pixels, example: Example) -> Pixels:
    """The image (S, S, 3), lit where the slots are, with a white line around the objects."""
    lit = spotlight(image, example.masks.max(0)) if len(example.masks) else image // 3
    thick = max(1, round(len(image) / 100))
    edge = ndimage.binary_dilation(example.outline, iterations=thick) & ~example.outline
    return np.where(edge[..., None], np.uint8(255), lit)
