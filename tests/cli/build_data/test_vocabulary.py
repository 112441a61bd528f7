"""A variant is built in the words of the store that a model was trained on, and evaluated."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Nsi = Callable[..., Any]


@pytest.fixture(scope="module")
def camo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Raw scenes of camo with 5 materials, of which the store's 4 have two."""
    from nsi_clevrtex.builder import ClevrtexBuilder

    folder = tmp_path_factory.mktemp("camo")
    ClevrtexBuilder(folder, variant="camo", materials=5).synthesize(12, seed=5, workers=0)
    return folder


@pytest.fixture
def build(nsi: Nsi, camo: Path, store: Path, tmp_path: Path) -> Callable[..., Any]:
    def run(*flags: object, vocabulary: Path = store) -> Any:
        return nsi("build-data", "clevrtex", "--variant", "camo", "--raw", camo, "--workers", 0,
                   "--image-size", 48, "--out", tmp_path / "camo", "--vocabulary", vocabulary,
                   *flags)  # fmt: skip

    return run


def materials(store: Path) -> list[str]:
    return json.loads((store / "program_space.json").read_text())["material"]


def test_new_values_are_refused_before_anything_is_built(
    build: Any, one_line: Any, tmp_path: Path
) -> None:
    answer = build()
    one_line(answer, 1, "lacks values of this data: material: poliigon", "extend", "drop")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_dropped_values_are_missing_and_the_trained_run_is_evaluated(
    build: Any, nsi: Nsi, trained: Path, store: Path, tmp_path: Path
) -> None:
    answer = build("--new-values", "drop")
    assert answer.code == 0, answer
    out = tmp_path / "camo"
    recorded = json.loads((out / "build.json").read_text())
    lost = recorded["splits"]["test"]["lost_values"]["material"]
    labels, lengths = (np.load(out / f"test_{name}.npy") for name in ("labels", "lengths"))
    assert (labels[..., 2] == -1).sum() == sum(lost.values()) > 0
    assert recorded["splits"]["test"]["objects"] == lengths.sum()  # the objects stay
    assert not set(lost) & set(materials(store))
    assert materials(out) == materials(store)
    assert recorded["vocabulary"]["origin"] == str(store)
    assert recorded["options"]["new_values"] == "drop"
    assert f"stored as missing: {max(lost.values())} × material" in answer.stdout
    assert "(missing)" in answer.stdout
    assert nsi("-q", "build-data", "clevrtex", "--check", out).code == 0

    answer = nsi("eval", trained, "--data", out, "--json")
    assert answer.code == 0, answer
    result = json.loads(answer.stdout)
    assert result["scenes"] == 12
    assert result["properties"]["material"]["primitives"] == lengths.sum() - sum(lost.values())
    answer = nsi("interpret", trained, "--data", out, "--out", tmp_path / "page")
    assert answer.code == 0, answer
    assert "unknown material" in (tmp_path / "page" / "index.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_extended_words_come_after_the_known_ones(build: Any, store: Path, tmp_path: Path) -> None:
    answer = build("--new-values", "extend", "--json")
    assert answer.code == 0, answer
    known, words = materials(store), materials(tmp_path / "camo")
    assert words[: len(known)] == known
    assert words[len(known) :] == sorted(words[len(known) :]) != []
    assert json.loads(answer.stdout)["vocabulary"]["added"] == {"material": words[len(known) :]}


@pytest.mark.slow
def test_a_run_gives_its_words_too(build: Any, trained: Path, tmp_path: Path) -> None:
    assert build("--new-values", "drop", vocabulary=trained).code == 0
    assert materials(tmp_path / "camo") != []


def test_a_choice_without_a_vocabulary_is_a_mistake(nsi: Nsi, camo: Path, one_line: Any) -> None:
    answer = nsi("build-data", "clevrtex", "--raw", camo, "--new-values", "drop")
    one_line(answer, 2, "--new-values drop", "--vocabulary STORE")
