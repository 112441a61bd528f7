"""The figure of a store shows every property, and no text covers another or a bar."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from nsi_cli.interpretation.stores.summary_figure import LONG, MAX_VALUES, draw_summary

SPREAD = {
    "min": 0,
    "25%": 1,
    "median": 2,
    "75%": 3,
    "max": 4,
    "histogram": {"low": 0, "high": 4, "counts": [1, 2]},
}


def summary(counts: dict[str, int], components: list[Any]) -> dict[str, Any]:
    splits = {
        name: {"scenes": 40_000, "objects_per_scene": {"histogram": [4, 8_000, 8_000, 8_000]}}
        for name in ("train", "val", "test")
    }
    word = {"kind": "categorical", "missing": 3, "counts": counts}
    code = {"kind": "continuous", "missing": 1, "components": components}
    return {"splits": splits, "properties": {"word": word, "code": code}, "skipped": []}


def texts(figure: Figure) -> list[Text]:
    figure.draw_without_rendering()
    return [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]


def drawn(figure: Figure) -> set[str]:
    return {text.get_text() for text in texts(figure)}


@pytest.mark.slow
def test_no_text_covers_another_or_a_bar() -> None:
    words = {f"poliigonwoodflooringmerbaubrickbondnatural{n:03}": 999_999 for n in range(30)}
    figure = draw_summary(summary(words, [SPREAD] * 3), "much")
    names = [text for text in texts(figure) if text.get_text().startswith(("poliigon", "999,"))]
    assert len(names) == 60
    boxes = {text: text.get_window_extent() for text in names}
    assert not [pair for pair in combinations(boxes, 2) if boxes[pair[0]].overlaps(boxes[pair[1]])]
    (legend,) = (axes.get_legend() for axes in figure.axes if axes.get_legend())
    bars = legend.axes.patches
    assert not [bar for bar in bars if bar.get_window_extent().overlaps(legend.get_window_extent())]


def test_a_short_vocabulary_has_a_panel_and_long_words_a_row() -> None:
    few = draw_summary(summary({"cube": 5, "ball": 3}, []), "few")
    assert {"word", "cube", "ball", "5", "3", "3 missing"} <= drawn(few)
    long = draw_summary(summary({"a cube of wood": 5, "ball": 3}, []), "long")
    assert {"word: 2 values", "a cube of wood", "ball"} <= drawn(long)


def test_words_that_look_alike_after_they_are_cut_keep_their_bars() -> None:
    alike = {"a" * LONG + str(number) + "b" * LONG: number for number in range(10, 13)}
    assert {"10", "11", "12"} <= drawn(draw_summary(summary(alike, []), "alike"))


@pytest.mark.slow
def test_of_many_words_and_components_some_are_drawn() -> None:
    many = {f"w{number}": number for number in range(400)}
    shown = drawn(draw_summary(summary(many, [SPREAD, *[None] * 9]), "much"))
    assert f"word: 400 values, {MAX_VALUES} of them shown" in shown
    assert "w399" in shown
    assert "w249" not in shown  # the most frequent ones are drawn
    assert {"code[0]", "code[5]"} <= shown
    assert "code[6]" not in shown


def test_a_store_without_objects_has_a_figure() -> None:
    empty = summary({"cube": 0}, [None])
    empty["splits"] = {"test": {"scenes": 0, "objects_per_scene": None}}
    assert {"cube", "code"} <= drawn(draw_summary(empty, "none"))
