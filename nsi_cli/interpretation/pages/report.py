"""The report: one self-contained HTML page, written atomically."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from nsi_cli import __version__
from nsi_cli.evaluation.predictions import Predictions
from nsi_cli.evaluation.table import COLUMNS, notes, rows
from nsi_cli.interpretation.pages.cards import CardMaker, SceneCard
from nsi_cli.interpretation.pages.collect import Collected
from nsi_cli.interpretation.pages.colours import SLOT_COLOURS, ink_on, slot_colour
from nsi_cli.interpretation.pages.confusion import Confusion
from nsi_cli.interpretation.pages.gallery import galleries
from nsi_cli.interpretation.pages.headline import property_tiles, tiles
from nsi_cli.interpretation.pages.pictures import photo_uri
from nsi_cli.interpretation.search import Search
from nsi_cli.schema import Schema
from nsi_cli.support.files import replacing

_THUMBNAIL_SIDE = 160

Images = Callable[[Sequence[int]], npt.NDArray[np.uint8]]
"""Returns the images (n, S, S, 3) at some indices of the split, for example from a store."""


@dataclass(frozen=True)
class Heading:
    """The task, run and split that the page is about."""

    task: str
    run: str
    split: str


@dataclass(frozen=True)
class Upload:
    """An image of the user's own, and the predictions for it alone."""

    name: str
    image: npt.NDArray[np.uint8]  # (S, S, 3)
    predictions: Predictions


def write_report(
    out: Path,
    collected: Collected,
    *,
    heading: Heading,
    schema: Schema,
    ids: list[str],
    images: Images,
    result: dict[str, Any] | None = None,
    uploads: Sequence[Upload] = (),
    searches: Sequence[Search] = (),
    confusions: Sequence[Confusion] = (),
    top: int = 5,
) -> Path:
    """Write ``out/index.html`` and return its path.

    ``ids`` are the names of all scenes of the split, by index. ``result`` is that of
    `nsi_cli.evaluation.suite.evaluate`; without it the page has no metrics. ``searches`` are the
    finished ones of the gallery (`nsi_cli.interpretation.pages.gallery`). ``top`` is how many
    retrieved images and schemas each card shows. Raises `DataError` if it cannot be written.
    """
    maker = CardMaker(collected, schema, ids, top)
    cards = [maker.of_scene(scene, images([int(scene.index[0])])[0]) for scene in collected.scenes]
    bare = [
        maker.of_upload(number, upload.name, upload.predictions, upload.image)
        for number, upload in enumerate(uploads, start=1)
    ]
    shown = bare + cards
    template = page_environment().get_template("report.html.j2")
    page = template.render(
        heading=heading,
        version=__version__,
        scenes=len(collected.index),
        slots=collected.embeddings.slots.shape[1],
        cards=cards,
        bare=bare,
        mask_kinds=[kind.name for kind in shown[0].masks] if shown else [],
        thumbnails=_thumbnails(shown, collected, images),
        tiles=tiles(result) if result else [],
        properties=property_tiles(result) if result else [],
        galleries=galleries(schema, searches, ids, images),
        confusions={one.name: one for one in confusions},
        metric_columns=COLUMNS,
        metric_rows=rows(result) if result else [],
        metric_notes=notes(result) if result else [],
        colours=SLOT_COLOURS,
        top=top,
    )
    path = out / "index.html"
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def page_environment() -> Environment:
    """The templates, with everything escaped; an undefined name is an error."""
    environment = Environment(
        loader=PackageLoader("nsi_cli.interpretation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["slot_colour"] = slot_colour
    environment.globals["ink_on"] = ink_on
    environment.filters["uri"] = _checked_uri
    return environment


def _checked_uri(uri: str) -> Markup:
    """Wrap a data URI for a style sheet. Raises `ValueError` if it could break out of it."""
    if not uri.startswith("data:image/") or set(uri) & set("\"'()<>\\ "):
        raise ValueError("not a data URI of an image")
    return Markup(f"url({uri})")


def _thumbnails(cards: list[SceneCard], collected: Collected, images: Images) -> dict[int, str]:
    """A small picture of every scene that was retrieved for any card, by row."""
    rows = sorted({found.row for card in cards for found in (*card.schemas, *card.images)})
    return {row: photo_uri(images([int(collected.index[row])])[0], _THUMBNAIL_SIDE) for row in rows}
