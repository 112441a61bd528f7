from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nsi_cli
from nsi_cli import api
from nsi_cli.evaluation.predictions import Predictions
from nsi_cli.interpretation.loaded_run import LoadedRun
from nsi_cli.schema import Categorical, Continuous, Schema

SIDE, GRID, SLOTS, EMBED = 24, 6, 4, 12


@dataclass(frozen=True)
class Split:
    """A split that a model understands: each object has a slot of its own, right on it."""

    schema: Schema
    predictions: Predictions
    images: np.ndarray

    @property
    def ids(self) -> list[str]:
        return [f"toy_{place:04d}" for place in range(len(self.predictions))]

    def pictures(self, places) -> np.ndarray:
        return self.images[list(places)]


@pytest.fixture
def split() -> Split:
    schema = Schema(
        (Categorical("shape", ("cube", "ball", "<b>cone</b>")), Continuous("height", 1, 0.0, 9.0)),
        2,
    )
    rng = np.random.default_rng(0)
    scenes = 8
    present = np.array([[True, place % 2 == 0] for place in range(scenes)])
    primitives = np.zeros((scenes, 2, 2), np.float32)
    primitives[..., 0] = rng.integers(3, size=(scenes, 2))
    primitives[..., 1] = np.arange(scenes)[:, None]
    primitives[~present] = 0
    true = np.zeros((scenes, SIDE, SIDE), np.uint8)
    true[:, :8, :8] = 1
    true[present[:, 1], 16:, 16:] = 2
    masks = np.full((scenes, SLOTS, GRID, GRID), 0.02, np.float32)
    masks[:, 1, :2, :2] = masks[:, 2, 4:, 4:] = 0.9
    masks[:, 0] = 0.5
    slots = np.zeros((scenes, SLOTS, EMBED), np.float32)
    embedded = rng.standard_normal((scenes, 2, EMBED)).astype(np.float32)
    embedded /= np.linalg.norm(embedded, axis=-1, keepdims=True)
    slots[:, 1:3] = embedded
    predictions = Predictions(
        index=np.arange(scenes),
        primitives=primitives,
        present=present,
        attention_masks=masks,
        slot_masks=masks[:, :, ::-1, ::-1],
        slot_embeddings=slots,
        primitive_embeddings=embedded,
        aligned_slot=np.tile([1, 2], (scenes, 1)),
        aligned_score=np.ones((scenes, 2), np.float32),
        true_masks=true,
    )
    images = rng.integers(0, 256, (scenes, SIDE, SIDE, 3)).astype(np.uint8)
    return Split(schema, predictions, images)


@pytest.fixture(scope="session")
def without_masks() -> Callable[[LoadedRun], LoadedRun]:
    """Gives a run a store that is said to have no masks."""

    def change(run: LoadedRun) -> LoadedRun:
        store = replace(run.store, build={**run.store.build, "masks": False}, _images=None)
        return replace(run, opened=store)

    return change


@pytest.fixture(scope="session")
def few_slots(tiny: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with one-to-one alignment and no decoder, whose scenes have more objects than slots."""
    out = tmp_path_factory.mktemp("runs") / "few_slots"
    chosen = {"alignment": "hungarian", "reconstruct": "attention", "num_slots": 3, "epochs": 1}
    api.train(api.train_config(**{**tiny, **chosen}), out)
    return out


@pytest.fixture(scope="session")
def evaluated(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the trained run with the evaluation of its test split."""
    copied = shutil.copytree(
        trained,
        tmp_path_factory.mktemp("runs") / "evaluated",
        ignore=shutil.ignore_patterns("eval"),
    )
    api.evaluate(copied)
    return copied


@pytest.fixture(scope="session", params=["decoder", "hungarian", "no masks"])
def any_run(
    request: pytest.FixtureRequest, trained: Path, few_slots: Path, without_masks
) -> LoadedRun:
    """Runs that differ in what a result can contain."""
    loaded = nsi_cli.load_run(few_slots if request.param == "hungarian" else trained)
    return without_masks(loaded) if request.param == "no masks" else loaded
