from __future__ import annotations

from nsi_cli.interpretation.pages.failures.groups import MOST_GROUPS, GroupBar, grouped_pointing


def measured(value):
    return {"objects": 3, "pointing": {"value": value, "ci95": [0.1, 0.9]}, "iou": None}


def test_each_group_of_the_evaluation_is_a_bar() -> None:
    groups = {
        "shape": {"cube": measured(0.5), "ball": {"objects": 0, "pointing": None}},
        "visible": {"0 to 0.1": measured(0.25)},
        "name": {str(number): measured(0.5) for number in range(MOST_GROUPS + 1)},
    }
    shape, visible = grouped_pointing({"grounding": {"by_group": groups}})
    assert shape.title == "shape"
    assert shape.bars == (GroupBar("cube", 3, 0.5, 0.1, 0.9),)
    assert visible.title.startswith("share of the image")


def test_an_evaluation_without_groups_has_no_bars() -> None:
    assert grouped_pointing({}) == []
    assert grouped_pointing({"grounding": None}) == []
    assert grouped_pointing({"grounding": {"by_group": {}}}) == []
