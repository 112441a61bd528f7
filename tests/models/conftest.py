"""What the tests of the models share: schemas, small configurations and the restatement."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

from nsi_cli.models.config import ModelConfig
from nsi_cli.schema import Categorical, Continuous, Schema


@pytest.fixture(scope="session")
def restatement() -> ModuleType:
    """The module beside this one that restates the mathematics in NumPy."""
    place = Path(__file__).with_name("restatement.py")
    spec = importlib.util.spec_from_file_location("models_restatement", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def schema() -> Schema:
    """Properties as CLEVRTex has them: 4 shapes, 3 sizes, 60 materials and a position."""
    return Schema(
        (
            Categorical("shape", ("cube", "sphere", "cylinder", "monkey")),
            Categorical("size", ("small", "medium", "large")),
            Categorical("material", tuple(f"material{place}" for place in range(60))),
            Continuous("position", 3, (-3.0, -3.0, 0.0), (3.0, 3.0, 1.0)),
        ),
        max_objects=10,
    )


@pytest.fixture
def small() -> ModelConfig:
    """A model of the default shape, small enough for a test."""
    return ModelConfig(
        num_slots=4,
        slot_dim=16,
        num_iterations=3,
        mlp_hidden_size=24,
        decoder_hidden_size=32,
        d_model=16,
        num_blocks=2,
        num_heads=4,
        embed_dim=8,
    )


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    """One seed, and one thread: for models this small, more only wait for each other."""
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def primitives(schema: Schema) -> tuple[torch.Tensor, torch.Tensor]:
    """Primitives (3, 10, 6) float32 and present (3, 10), with values missing here and there."""
    generator = torch.Generator().manual_seed(1)
    ids = [torch.randint(len(item.values), (3, 10), generator=generator).float()
           for item in schema.categorical]  # fmt: skip
    place = torch.rand((3, 10, 3), generator=generator) * 8 - 4
    rows = torch.cat([torch.stack(ids, -1), place], -1)
    rows[0, 1, 2] = -1
    rows[1, 0, 3:] = torch.nan
    present = torch.arange(10) < torch.tensor([[6], [10], [3]])
    return rows, present
