"""A map of slots and primitives: their embeddings in two dimensions, for a canvas."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from sklearn.decomposition import PCA

from nsi_cli.evaluation.predictions import Floats
from nsi_cli.interpretation.description import describe
from nsi_cli.interpretation.pages.collect import Collected, spread
from nsi_cli.interpretation.pages.crops import around
from nsi_cli.interpretation.pages.pictures import photo_uri
from nsi_cli.interpretation.pages.slots.records import SlotRecords
from nsi_cli.interpretation.plots import Pixels
from nsi_cli.schema import Categorical, Property, Schema

MOST_POINTS = 5000

TILE = 32
"""The side of a slot's crop in the atlas."""

SHADES = 8
"""The number of steps of the colour scale of a number."""

_UMAP_NEIGHBOURS = 15

Images = Callable[[Sequence[int]], Pixels]


@dataclass(frozen=True)
class SlotMap:
    """What the page's script draws."""

    data: Markup  # JSON, safe inside a script element
    atlas: str  # a data URI of the slots' crops, in rows of ``columns`` tiles
    slots: int
    primitives: int
    scenes: int
    explained: float  # the share of the variance that the two principal components hold
    projections: tuple[str, ...]


def slot_map(
    collected: Collected,
    records: SlotRecords,
    schema: Schema,
    ids: Sequence[str],
    images: Images,
    excluded: Sequence[str] = (),
) -> SlotMap:
    """The map of a split, of as many of its scenes, evenly spread, as `MOST_POINTS` allow."""
    slots, present = collected.embeddings.slots.cpu().numpy(), collected.present
    each = slots.shape[1] + max(1, int(present.sum(1).max()))
    rows = np.array(spread(len(slots), max(1, MOST_POINTS // each)))
    scene, row = np.nonzero(present[rows])
    own = slots[rows].reshape(-1, slots.shape[2])
    others = collected.embeddings.primitives.cpu().numpy()[rows[scene], row]
    objects = records.objects[rows]  # (scenes, K)
    behind = collected.primitives[rows][np.arange(len(rows))[:, None], objects]  # (scenes, K, W)
    behind[objects < 0] = np.nan
    primitives = np.concatenate(
        [behind.reshape(-1, schema.width), collected.primitives[rows[scene], row]]
    )
    projected, explained = projections(own, objects.ravel() >= 0, others)
    drawn = [item for item in schema.properties if item.name not in excluded]
    tiles = _tiles(images, collected.index[rows].tolist(), records.peaks[rows])
    columns = int(np.ceil(np.sqrt(len(tiles))))
    payload = {
        "slots": len(own),
        "perScene": slots.shape[1],
        "columns": columns,
        "tile": TILE,
        "scenes": [ids[index] for index in collected.index[rows].tolist()],
        "sceneOfPrimitive": scene.tolist(),
        "projections": {name: _unit(values) for name, values in projected.items()},
        "objects": _texts(schema, primitives),
        "colours": [part for item in drawn for part in _colouring(item, schema, primitives)],
    }
    return SlotMap(
        data=script_json(payload),
        atlas=photo_uri(_atlas(tiles, columns), quality=70),
        slots=len(own),
        primitives=len(others),
        scenes=len(rows),
        explained=explained,
        projections=tuple(projected),
    )


def projections(
    slots: Floats, on_object: npt.NDArray[np.bool_], primitives: Floats
) -> tuple[dict[str, Floats], float]:
    """Slots (n, E) and primitives (m, E) in two dimensions (n + m, 2), by name of the projection.

    Also returns the share of variance that PCA keeps. Slots and primitives are centred on their own
    means, because they lie in different regions of the space, and the distance between the regions
    would hide all else. PCA is fitted to the primitives and to the slots that are ``on_object``
    (n,), if any. UMAP (McInnes et al. 2018) is added where the package is installed.
    """
    fitted = slots[on_object] if on_object.any() else slots
    points = np.concatenate([slots - fitted.mean(0), _centred(primitives)])
    pca = PCA(min(2, len(fitted) + len(primitives), slots.shape[1]), random_state=0)
    pca.fit(np.concatenate([_centred(fitted), _centred(primitives)]))
    flat = pca.transform(points)
    found = {"PCA": np.pad(flat, ((0, 0), (0, 2 - flat.shape[1])))}
    explained = float(np.nan_to_num(pca.explained_variance_ratio_).sum())
    try:
        from umap import UMAP
    except ImportError:
        return found, explained
    if len(points) > _UMAP_NEIGHBOURS:
        umap = UMAP(n_neighbors=_UMAP_NEIGHBOURS, random_state=0, n_jobs=1)
        found["UMAP"] = umap.fit_transform(points)
    return found, explained


def _centred(points: Floats) -> Floats:
    return points - points.mean(0) if len(points) else points


def script_json(value: Any) -> Markup:
    """JSON that cannot end the script element that it stands in."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)


def _unit(points: Floats) -> list[list[float]]:
    """Points scaled to the unit square, each to four decimals."""
    low = points.min(0)
    scaled = (points - low) / np.maximum(points.max(0) - low, 1e-12)
    return [[round(part, 4) for part in point] for point in scaled.tolist()]


def _texts(schema: Schema, primitives: Floats) -> list[str]:
    """The object of each point in words; empty for none."""
    return [
        "" if np.isnan(primitive).all() else describe(schema, primitive).line
        for primitive in primitives
    ]


def _colouring(item: Property, schema: Schema, primitives: Floats) -> list[dict[str, Any]]:
    """How to colour the points by a property, for each of its components; −1 is no value."""
    start, none = schema.columns[item.name].start, np.isnan(primitives).all(1)
    if isinstance(item, Categorical):
        ids = np.where(none, -1, np.nan_to_num(primitives[:, start], nan=-1)).astype(int)
        used = np.unique(ids[ids >= 0]).tolist()
        places = {value: place for place, value in enumerate(used)}
        return [
            {
                "name": item.name,
                "values": [item.values[value] for value in used],
                "of": [places.get(value, -1) for value in ids.tolist()],
            }
        ]
    return [
        _scale(
            item.name + (f", {part + 1} of {item.size}" if item.size > 1 else ""),
            primitives[:, start + part],
        )
        for part in range(item.size)
    ]


def _scale(name: str, values: npt.NDArray[np.float32]) -> dict[str, Any]:
    known = values[~np.isnan(values)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    limits = np.linspace(low, high, SHADES + 1)
    shade = np.clip(np.searchsorted(limits, values, side="right") - 1, 0, SHADES - 1)
    return {
        "name": name,
        "range": [f"{low:.2f}", f"{high:.2f}"],
        "of": np.where(np.isnan(values), -1, shade).astype(int).tolist(),
    }


def _tiles(images: Images, index: Sequence[int], peaks: npt.NDArray[np.float64]) -> list[Pixels]:
    """The square around the peak of every slot of some scenes, scene by scene."""
    return [
        around(image, peak, TILE)
        for number, one in enumerate(index)
        for image in images([one])
        for peak in peaks[number]
    ]


def _atlas(tiles: Sequence[Pixels], columns: int) -> Pixels:
    """The tiles (t, t, 3) side by side, in rows of ``columns``."""
    rows = -(-len(tiles) // columns)
    atlas = np.zeros((rows, columns, TILE, TILE, 3), np.uint8)
    atlas.reshape(-1, TILE, TILE, 3)[: len(tiles)] = tiles
    return atlas.transpose(0, 2, 1, 3, 4).reshape(rows * TILE, columns * TILE, 3)
