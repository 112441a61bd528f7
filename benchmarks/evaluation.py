"""Time the metrics on a large split at the published sizes.

    python benchmarks/evaluation.py [--scenes 10000]

Scenes have 15 slots of 64 dimensions, up to 10 objects (4 shapes, 3 sizes, 60 materials, a
position), masks on a grid of 28 × 28, and true masks of 224 × 224 pixels. The schema encoder has
the published sizes and untrained weights. Prints the seconds of each metric, and the peak memory of
the process. Exits 1 if segmentation takes more than `MOST_SECONDS`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from tools.measured import peak_bytes, seconds_of

from nsi_cli.evaluation.metrics.metric import Metric
from nsi_cli.evaluation.metrics.property_retrieval import PropertyRetrieval
from nsi_cli.evaluation.metrics.segmentation import Segmentation
from nsi_cli.evaluation.metrics.set_prediction.set_prediction import SetPrediction
from nsi_cli.evaluation.predict import EncodePrimitives, primitives_encoder
from nsi_cli.evaluation.predictions import Predictions
from nsi_cli.models.config import ModelConfig
from nsi_cli.models.nsi import build_nsi
from nsi_cli.models.schema_encoder import PropertySchemaEncoder
from nsi_cli.schema import Categorical, Continuous, Schema
from nsi_cli.support.threads import set_thread_defaults

MOST_SECONDS = 600.0
SLOTS, OBJECTS, DIMENSIONS, GRID, SIDE, BATCH = 15, 10, 64, 28, 224, 64
SCHEMA = Schema(
    (
        Categorical("shape", ("cube", "cylinder", "monkey", "sphere")),
        Categorical("size", ("small", "medium", "large")),
        Categorical("material", tuple(f"material {number}" for number in range(60))),
        Continuous("position", 3, -3, 3),
    ),
    OBJECTS,
)


def main() -> int:
    set_thread_defaults()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=int, default=10_000)
    scenes = parser.parse_args().scenes
    encode = encoder()
    seconds = {
        name: measured(name, metric, scenes)
        for name, metric in (
            ("segmentation", Segmentation()),
            ("property retrieval", PropertyRetrieval(SCHEMA, encode)),
            ("set prediction", SetPrediction(SCHEMA, encode)),
        )
    }
    return int(seconds["segmentation"] > MOST_SECONDS)


def encoder() -> EncodePrimitives:
    config = ModelConfig()
    return primitives_encoder(
        build_nsi(config, SCHEMA, PropertySchemaEncoder, num_tokens=GRID**2, channels=32)
    )


def measured(name: str, metric: Metric, scenes: int) -> float:
    """Print and return the seconds that a metric takes."""
    seconds = []

    def run() -> None:
        for batch in batches(scenes):
            seconds.append(seconds_of(lambda batch=batch: metric.update(batch), "cpu"))
        seconds.append(seconds_of(metric.compute, "cpu"))

    _, total = peak_bytes(run, "cpu")
    print(f"{name}, {scenes:,} scenes: {sum(seconds):.1f} s, {total / 1e9:.2f} GB")
    return sum(seconds)


def batches(scenes: int) -> Iterator[Predictions]:
    """Random predictions; the masks of all batches are the same."""
    rng = np.random.default_rng(0)
    one = random_batch(rng)
    for start in range(0, scenes, BATCH):
        count = min(BATCH, scenes - start)
        yield replace(
            one.take(range(count)),
            index=np.arange(start, start + count),
            slot_embeddings=rng.standard_normal((count, SLOTS, DIMENSIONS), np.float32),
        )


def random_batch(rng: np.random.Generator) -> Predictions:
    present = np.arange(OBJECTS) < rng.integers(3, OBJECTS + 1, (BATCH, 1))
    primitives = np.zeros((BATCH, OBJECTS, SCHEMA.width), np.float32)
    for column, item in enumerate(SCHEMA.categorical):
        primitives[..., column] = rng.integers(len(item.values), size=(BATCH, OBJECTS))
    primitives[..., 3:] = rng.uniform(-3, 3, (BATCH, OBJECTS, 3))
    masks = rng.dirichlet(np.ones(SLOTS), (BATCH, GRID, GRID)).transpose(0, 3, 1, 2)
    true = rng.integers(0, 255, (BATCH, SIDE, SIDE)) % (present.sum(1)[:, None, None] + 1)
    return Predictions(
        index=np.arange(BATCH),
        primitives=primitives,
        present=present,
        attention_masks=masks.astype(np.float32),
        slot_masks=masks[:, ::-1].astype(np.float32),
        slot_embeddings=np.zeros((BATCH, SLOTS, DIMENSIONS), np.float32),
        primitive_embeddings=np.zeros((BATCH, OBJECTS, DIMENSIONS), np.float32),
        aligned_slot=np.zeros((BATCH, OBJECTS), np.int64),
        aligned_score=np.zeros((BATCH, OBJECTS), np.float32),
        true_masks=true.astype(np.uint8),
    )


if __name__ == "__main__":
    raise SystemExit(main())
