from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from nsi_cli.evaluation.predictions import Predictions
from nsi_cli.schema import Categorical, Continuous, Schema

MakePredictions = Callable[..., Predictions]


@pytest.fixture
def schema() -> Schema:
    shape = Categorical("shape", ("cube", "ball", "cone", "ring"))
    return Schema((shape, Continuous("place", 2, -1.0, 1.0)), max_objects=3)


@pytest.fixture
def make_predictions(schema: Schema) -> MakePredictions:
    """Predictions of random scenes; any field can be given instead."""

    def make(scenes: int = 6, slots: int = 4, side: int = 8, seed: int = 0, **given) -> Predictions:
        rng = np.random.default_rng(seed)
        objects, width, grid, embed = schema.max_objects, schema.width, 4, 5
        present = np.arange(objects) < rng.integers(1, objects + 1, (scenes, 1))
        primitives = rng.uniform(-1, 1, (scenes, objects, width)).astype(np.float32)
        primitives[..., 0] = rng.integers(4, size=(scenes, objects))
        primitives[~present] = 0
        masks = rng.dirichlet(np.ones(slots), (scenes, grid, grid)).transpose(0, 3, 1, 2)
        limit = present.sum(1)[:, None, None] + 1
        fields = {
            "index": np.arange(scenes),
            "primitives": primitives,
            "present": present,
            "attention_masks": masks.astype(np.float32),
            "slot_embeddings": rng.standard_normal((scenes, slots, embed), np.float32),
            "primitive_embeddings": rng.standard_normal((scenes, objects, embed), np.float32),
            "aligned_slot": rng.integers(slots, size=(scenes, objects)),
            "aligned_score": rng.random((scenes, objects), np.float32),
            "true_masks": (rng.integers(0, 255, (scenes, side, side)) % limit).astype(np.uint8),
        }
        return Predictions(**{**fields, **given})

    return make
