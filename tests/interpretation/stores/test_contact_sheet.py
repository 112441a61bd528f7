"""A contact sheet shows every scene that it is given, with or without a mask."""

from __future__ import annotations

import numpy as np
import pytest

from nsi_cli.interpretation.colours import slot_colour
from nsi_cli.interpretation.stores.contact_sheet import SheetScene, draw_sheet
from nsi_cli.schema import Categorical, Continuous, Schema

SCHEMA = Schema((Categorical("shape", ("cube", "a word " * 40)), Continuous("x", 2)), 3)
IMAGE = np.full((8, 8, 3), 200, np.uint8)
MASK = np.array([[1, 2] * 4] * 8, np.uint8)


def colours(picture) -> set[str]:
    return {"#{:02x}{:02x}{:02x}".format(*rgb) for _, rgb in picture.getcolors(1 << 24)}


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_row_has_three_scenes(count: int) -> None:
    rows = SCHEMA.encode([{"shape": "cube", "x": (0, 1)}, {"shape": None, "x": None}])
    sheet = draw_sheet([SheetScene("one", IMAGE, rows, MASK)] * count, SCHEMA, "a sheet")
    assert {slot_colour(0), slot_colour(1)} <= colours(sheet)
    single = draw_sheet([SheetScene("one", IMAGE, rows, MASK)], SCHEMA, "a sheet")
    assert (sheet.width > 2.5 * single.width) == (count > 2)
    assert (sheet.height > 1.5 * single.height) == (count > 3)


def test_scenes_without_mask_or_object_and_words_without_end_are_drawn() -> None:
    rows = SCHEMA.encode([{"shape": "a word " * 40, "x": (0, 1)}])
    scenes = [SheetScene("t" * 300, IMAGE, rows), SheetScene("none", IMAGE, rows[:0])]
    assert slot_colour(0) in colours(draw_sheet(scenes, SCHEMA, "a sheet"))
    draw_sheet([], SCHEMA, "no scene")
