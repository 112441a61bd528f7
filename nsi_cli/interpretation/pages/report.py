"""The report: one self-contained HTML page, written atomically."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from nsi_cli import __version__
from nsi_cli.evaluation.predictions import Predictions
from nsi_cli.evaluation.table import COLUMNS, notes, rows
from nsi_cli.interpretation.colours import SLOT_COLOURS, ink_on, slot_colour
from nsi_cli.interpretation.pages.analysis import Analysis
from nsi_cli.interpretation.pages.collect import Collected
from nsi_cli.interpretation.pages.curves import HEIGHT, WIDTH, Curve
from nsi_cli.interpretation.pages.failures.groups import grouped_pointing
from nsi_cli.interpretation.pages.failures.pictures import failure_shelves
from nsi_cli.interpretation.pages.failures.retrieval import wrong_retrievals
from nsi_cli.interpretation.pages.headline import property_tiles, tiles
from nsi_cli.interpretation.pages.pictures import photo_uri
from nsi_cli.interpretation.pages.scenes.cards import CardMaker, SceneCard
from nsi_cli.interpretation.pages.scenes.choice import SceneChoice
from nsi_cli.interpretation.pages.scenes.nearest_slots import NearestSlots
from nsi_cli.interpretation.pages.slots.gallery import galleries
from nsi_cli.interpretation.pages.slots.ranges import ranges
from nsi_cli.interpretation.pages.slots.slot_map import script_json, slot_map
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
    facts: Mapping[str, str] = field(default_factory=dict)
    """More about the run, by title."""

    @property
    def dataset(self) -> str:
        """The task, and the name of the store if it has another one."""
        store = Path(self.facts.get("store", "")).name
        return self.task if store in ("", self.task) else f"{self.task} · {store}"


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
    choice: SceneChoice | None = None,
    result: dict[str, Any] | None = None,
    ranks: npt.NDArray[np.float64] | None = None,
    curves: Sequence[Curve] = (),
    analysis: Analysis | None = None,
    uploads: Sequence[Upload] = (),
    top: int = 5,
) -> Path:
    """Write ``out/index.html`` and return its path.

    ``ids`` are the names of all scenes of the split, by index. ``choice`` says how the scenes were
    chosen. ``result`` is that of `nsi_cli.evaluation.suite.evaluate`, and ``ranks`` (n,) are its
    ranks of each scene's own schema; without them the page has no metrics and no wrong retrievals.
    ``analysis`` is that of the finished pass; without it the page has scenes only. ``top`` is how
    many retrieved images and schemas each card shows. Raises `DataError` if it cannot be written.
    """
    near = None
    if analysis is not None:
        near = NearestSlots(collected, analysis.records, schema, ids, images)
    kinds = {} if choice is None else choice.kinds
    maker = CardMaker(collected, schema, ids, top, kinds, near)
    scenes = sorted(collected.scenes, key=_order(choice))
    cards = [maker.of_scene(scene, images([int(scene.index[0])])[0]) for scene in scenes]
    bare = [
        maker.of_upload(number, upload.name, upload.predictions, upload.image)
        for number, upload in enumerate(uploads, start=1)
    ]
    shown = bare + cards
    wrong = [] if ranks is None else wrong_retrievals(collected, ranks, schema)
    found = {card.row for one in shown for card in (*one.schemas, *one.images)}
    found |= {row for one in wrong for row in (one.row, one.other)}
    template = page_environment().get_template("report/page.html.j2")
    page = template.render(
        heading=heading,
        version=__version__,
        scenes=len(collected.index),
        slots=collected.embeddings.slots.shape[1],
        cards=cards,
        bare=bare,
        choice=choice,
        mask_kinds=[kind.name for kind in shown[0].masks] if shown else [],
        thumbnails=_thumbnails(found, collected, images),
        result=result or {},
        has_masks=any(scene.true_masks is not None for scene in collected.scenes),
        tiles=tiles(result) if result else [],
        properties=property_tiles(result) if result else [],
        curves=curves,
        curve_size=(WIDTH, HEIGHT),
        only_validation=all(line.kind == "val" for curve in curves for line in curve.lines),
        metric_columns=COLUMNS,
        metric_rows=rows(result) if result else [],
        metric_notes=notes(result) if result else [],
        wrong=wrong,
        names=[ids[index] for index in collected.index.tolist()],
        groups=grouped_pointing(result) if result else [],
        ranks_known=ranks is not None,
        wrong_count=0 if ranks is None else int((ranks > 1).sum()),
        data=script_json(_data(shown)),
        colours=SLOT_COLOURS,
        top=top,
        **_of_all_slots(analysis, collected, schema, ids, images),
    )
    path = out / "index.html"
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def _order(choice: SceneChoice | None) -> Callable[[Predictions], int]:
    """The sort key of scenes: best first if they were chosen by that, else by index."""
    places = {} if choice is None else {index: n for n, index in enumerate(choice.scenes)}
    return lambda scene: places.get(int(scene.index[0]), int(scene.index[0]))


def _of_all_slots(
    analysis: Analysis | None, collected: Collected, schema: Schema, ids: list[str], images: Images
) -> dict[str, Any]:
    """The sections that a finished pass gives."""
    if analysis is None:
        return {"galleries": [], "ranges": [], "confusions": {}, "map": None, "failures": []}
    return {
        "galleries": galleries(schema, analysis.searches, ids, images),
        "ranges": ranges(analysis.range_searches, ids, images),
        "confusions": {one.name: one for one in analysis.confusions.matrices()},
        "map": slot_map(collected, analysis.records, schema, ids, images, analysis.excluded),
        "failures": failure_shelves(analysis.failures, collected, schema, ids, images),
    }


def _data(cards: Sequence[SceneCard]) -> list[dict[str, Any]]:
    """What the cards show, for scripts: each object with its slot, score and IoU."""
    return [
        {
            "anchor": card.anchor,
            "scene": card.title,
            "objects": [
                {
                    "words": row.description.line,
                    "slot": row.slot,
                    "score": row.score,
                    "iou": row.iou,
                    "pointed_at": row.inside,
                }
                for row in card.objects
            ],
        }
        for card in cards
    ]


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


def _thumbnails(rows: set[int], collected: Collected, images: Images) -> dict[int, str]:
    """A small picture of each of some scenes, by row."""
    return {
        row: photo_uri(images([int(collected.index[row])])[0], _THUMBNAIL_SIDE)
        for row in sorted(rows)
    }
