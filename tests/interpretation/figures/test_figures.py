"""The figures of an evaluation: their data are those of nsi eval, and they are saved with them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nsi_cli import api
from nsi_cli.evaluation.records import read_csv
from nsi_cli.interpretation.figures.figures import Figures, figures_of
from nsi_cli.interpretation.figures.recall import RecallCurve
from nsi_cli.interpretation.pages.slots.confusion import Confusion
from nsi_cli.interpretation.plots import Plotted
from nsi_cli.schema import Categorical, Continuous, Schema
from nsi_cli.support.errors import DataError

HOSTILE = '<script>alert("1")</script> $x$ 🎲 / שלום'
SCHEMA = Schema(
    (Categorical(HOSTILE, (HOSTILE, "b" * 200)), Categorical("hue", ("red", "blue")),
     Categorical("many", tuple(f"v{i}" for i in range(30))), Continuous("x")),
    max_objects=2,
)  # fmt: skip


@pytest.fixture(scope="module")
def figures(evaluated: Path) -> Figures:
    return api.figures(evaluated)


@pytest.fixture
def result(evaluated: Path) -> dict:
    return json.loads((evaluated / "eval" / "test.json").read_text(encoding="utf-8"))


def test_recall_is_that_of_the_evaluation(figures: Figures, result: dict) -> None:
    columns = figures["recall"].columns()
    for direction in ("image_to_schema", "schema_to_image"):
        for depth in (1, 5):  # of six scenes
            (value,) = columns[direction][columns["k"] == depth]
            assert value == result["retrieval"][direction][f"R@{depth}"]["value"]
        assert columns[direction][-1] == columns["chance"][-1] == 1


def test_shared_ranks_count_as_in_the_evaluation() -> None:
    ranks = np.array([1.0, 1.5, 1.5, 4.0])
    columns = RecallCurve({"image_to_schema": ranks}, {}).columns()
    assert columns["image_to_schema"].tolist() == [
        (ranks <= depth).mean() for depth in (1, 2, 3, 4)
    ]


def test_properties_are_those_of_the_evaluation(figures: Figures, result: dict) -> None:
    columns = figures["properties"].columns()
    assert columns["property"].tolist() == list(result["properties"])
    for row, measured in enumerate(result["properties"].values()):
        assert columns["value"][row] == measured["value"]
        assert [columns["low"][row], columns["high"][row]] == measured["ci95"]
        assert columns["null_value"][row] == measured["null"]["value"]


def test_the_mean_fg_ari_is_that_of_the_evaluation(figures: Figures, result: dict) -> None:
    columns = figures["fg_ari"].columns()
    for kind in ("slot_masks", "attention_masks", "kmeans"):
        expected = result["segmentation"][kind]["fg_ari"]["value"]
        assert np.nanmean(columns[kind]) == pytest.approx(expected, abs=1e-6)


def test_a_confusion_matrix_counts_every_object_once(figures: Figures) -> None:
    columns = figures["confusion-size"].columns()
    assert len(columns["true"]) == 9
    shares = columns["share"].reshape(3, 3).sum(1)
    objects = columns["objects"].reshape(3, 3).sum(1)
    np.testing.assert_allclose(shares, objects > 0)


@pytest.mark.slow
def test_the_command_writes_every_figure_with_its_data(
    nsi: Callable[..., Any], evaluated: Path, figures: Figures, tmp_path: Path
) -> None:
    result = nsi("interpret", evaluated, "--figures", "--scenes", 1, "--out", tmp_path)
    assert result.code == 0, result
    *paths, page = map(Path, result.stdout.splitlines())
    assert page == tmp_path / "index.html"
    stems = {"recall", "properties", "fg_ari"} | {
        f"confusion-{name}" for name in ("size", "shape", "material")
    }
    assert {path.stem for path in paths} == stems
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {
        f"{stem}.{suffix}" for stem in stems for suffix in ("svg", "png", "csv")
    }
    for name, path in zip(figures, paths, strict=True):
        assert path.parent == tmp_path / "figures"
        assert list(read_csv(path.with_suffix(".csv"))) == list(figures[name].columns())


@pytest.mark.slow
def test_without_masks_it_is_said_which_figures_are_missing(
    without_masks: Callable[..., Any], evaluated: Path, tmp_path: Path
) -> None:
    loaded = without_masks(api.load_run(shutil.copytree(evaluated, tmp_path / "run")))
    shutil.rmtree(loaded.run.path / "eval")
    api.evaluate(loaded)
    found = api.figures(loaded)
    assert list(found) == ["recall", "properties"]
    assert set(found.missing.values()) == {"the store has no masks"}


@pytest.mark.slow
def test_hostile_names_are_text_in_figures_and_whole_in_their_data(tmp_path: Path) -> None:
    confusion = Confusion(HOSTILE, (HOSTILE, "b" * 200), np.array([[3, 1], [0, 2]]))
    measured = {HOSTILE: {"value": 0.5, "ci95": [0.4, 0.6], "measure": "accuracy"}}
    found = figures_of({"properties": measured}, {}, [confusion], SCHEMA, ["hue"])
    paths = found.save(tmp_path)
    assert all(path.parent == tmp_path for path in paths)
    for path in paths:
        text = path.read_text(encoding="utf-8")
        assert "<script" not in text
        assert "&lt;script&gt;" in text
        rows = read_csv(path.with_suffix(".csv"))
        assert HOSTILE in {*rows.get("property", ()), *rows.get("true", ())}


def test_a_missing_figure_has_a_reason() -> None:
    found = figures_of({}, {}, [], SCHEMA, ["hue"])
    assert len(found) == 0
    assert found.missing == {
        "recall": "retrieval was not evaluated",
        "properties": "no property was evaluated",
        "fg_ari": "the store has no masks",
        f"confusion-{HOSTILE}": "the store has no masks",
        "confusion-hue": "hue was excluded from training",
        "confusion-many": "many has more than 24 values",
    }
    with pytest.raises(DataError, match="no figure 'fg_ari'") as caught:
        found["fg_ari"]
    assert caught.value.hint == "the store has no masks"


def test_names_that_look_alike_as_files_keep_their_own(tmp_path: Path) -> None:
    class Empty(Plotted):
        def columns(self) -> dict:
            return {}

        def plot(self):
            from nsi_cli.interpretation.data_figure import DataFigure

            return DataFigure({})

    found = Figures({name: Empty() for name in ("a/b", "a b", "A:B", "a")}, {})
    assert [path.name for path in found.save(tmp_path)] == [
        "a_b.svg", "a_b-2.svg", "A_B-3.svg", "a.svg",
    ]  # fmt: skip


def test_a_split_that_was_not_evaluated_has_no_figures(evaluated: Path) -> None:
    with pytest.raises(DataError, match=r"no evaluation at .*val\.json") as caught:
        api.figures(evaluated, split="val")
    assert caught.value.hint == "run nsi eval first"
