"""A contact sheet of scenes drawn at random from a store."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nsi_cli.data.store.reader import Store, open_store
from nsi_cli.interpretation.stores.contact_sheet import SheetScene, draw_sheet
from nsi_cli.support.errors import DataError
from nsi_cli.support.files import replacing

SCENES = 12


def draw_check_sheet(path: Path, sheet: Path, seed: int) -> Path | None:
    """Draw `SCENES` scenes of the store at ``path``; None if the store cannot be opened."""
    try:
        store = open_store(path)
        scenes = _random_scenes(store, seed)
    except DataError:
        return None
    heading = f"{path.name}: {store.task}, {len(scenes)} scenes drawn at random (seed {seed})"
    picture = draw_sheet(scenes, store.schema, heading)
    with replacing(sheet) as temporary:
        picture.save(temporary, "PNG")
    return sheet


def _random_scenes(store: Store, seed: int) -> list[SheetScene]:
    scenes = [(split, row) for split in store.splits for row in range(store.count(split))]
    generator = np.random.default_rng(seed)
    chosen = generator.choice(len(scenes), min(SCENES, len(scenes)), replace=False)
    labels = {split: store.primitives(split) for split in store.splits}
    ids = {split: store.ids(split) for split in store.splits}
    drawn = []
    for split, row in (scenes[index] for index in sorted(chosen.tolist())):
        rows, lengths = labels[split]
        masks = store.masks(split, [row])
        drawn.append(
            SheetScene(
                f"{split}  {ids[split][row]}",
                store.images(split, [row])[0],
                rows[row][: lengths[row]],
                None if masks is None else masks[0],
            )
        )
    return drawn
