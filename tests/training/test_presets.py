"""Every preset makes a model of its backbone's shape, and an optimiser step changes all of it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from nsi_cli.data.loading.batch import Batch
from nsi_cli.models.backbones import timm as timm_backbone
from nsi_cli.models.build import build_backbone
from nsi_cli.models.nsi import build_nsi
from nsi_cli.models.schema_encoder import PropertySchemaEncoder
from nsi_cli.schema import Categorical, Continuous, Schema
from nsi_cli.support.options import declared_options
from nsi_cli.training import presets
from nsi_cli.training.config import TrainConfig
from nsi_cli.training.distributed import launch
from nsi_cli.training.presets import preset_names, read_preset, resolve
from nsi_cli.training.step import Step

SHAPES = {
    "cpu": ((14, 14), 384),
    "demo": ((16, 16), 104),
    "dinov2-small": ((16, 16), 384),
    "published": ((28, 28), 768),
    "readme": ((28, 28), 768),
    "release": ((28, 28), 768),
    "small-gpu": ((28, 28), 768),
}
"""The grid and the channels of each preset's backbone."""

SCHEMA = Schema((Categorical("shape", ("cube", "cone")), Continuous("place", 1, 0.0, 1.0)), 2)


@pytest.fixture
def _shallow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Backbones of timm with one block and random weights: their shapes are what matters."""
    import timm

    create = timm.create_model
    given: dict[str, Any] = {"depth": 1, "pretrained": False}
    monkeypatch.setattr(timm, "create_model", lambda *a, **k: create(*a, **(k | given)))
    monkeypatch.setattr(timm_backbone, "_from_hub", lambda name: None)


def test_there_is_a_shape_for_every_preset() -> None:
    assert preset_names() == sorted(SHAPES)


def test_the_demo_trains_offline() -> None:
    assert read_preset("demo")["backbone"] == "texture"


def test_the_published_preset_names_what_the_defaults_are() -> None:
    own = read_preset("published")
    defaults = {item.name: item.default for item in declared_options(TrainConfig)}
    assert own == {name: defaults[name] for name in own}
    what_changes_results = {
        item.name for item in declared_options(TrainConfig)
        if item.option.group not in ("Run", "Machine")
    }  # fmt: skip
    assert what_changes_results - own.keys() == {
        "backbone_weights",
        "texture_grid",
        "texture_position",
        "exclude_properties",
    }


def test_the_release_preset_differs_from_the_published_one_where_it_must() -> None:
    published, release = read_preset("published"), read_preset("release")
    assert published.keys() == release.keys()
    assert {name: value for name, value in release.items() if value != published[name]} == {
        # the release's code
        "normalize": "none", "feature_precision": "32", "mask_absent": False,
        "clip": "image-encoder",
        # the command of its README
        "epochs": 900, "num_iterations": 3,
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.usefixtures("_shallow")
@pytest.mark.parametrize("name", preset_names())
def test_a_preset_takes_a_step(name: str) -> None:
    flags = {
        "task": "clevrtex",
        "accelerator": "cpu",
        "compile": False,
        "batch_size": 2,
        "precision": "32",
    }  # a processor may take minutes for bfloat16
    config = resolve(name, None, flags)
    backbone = build_backbone(config)
    assert (backbone.grid, backbone.channels) == SHAPES[name]
    torch.manual_seed(0)
    model = build_nsi(config, SCHEMA, PropertySchemaEncoder,
                      num_tokens=backbone.num_tokens, channels=backbone.channels)  # fmt: skip
    batch = Batch(
        index=torch.arange(2),
        primitives=torch.rand(2, 2, SCHEMA.width).round(),
        present=torch.ones(2, 2, dtype=torch.bool),
        features=torch.randn(2, backbone.num_tokens, backbone.channels).half(),
    )
    before = {key: value.clone() for key, value in model.named_parameters()}
    step = Step(config, model, backbone, launch(config))
    result = step.train(batch, torch.ones(2, dtype=torch.bool), 0, 2)
    assert math.isfinite(step.update(result, config.lr))
    assert [key for key, value in model.named_parameters() if torch.equal(value, before[key])] == []


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_says_what_it_is_and_how_to_run_it(name: str) -> None:
    file = Path(presets.__file__).with_name("presets") / f"{name}.yaml"
    lines = file.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# ")
    assert any(f"nsi train --preset {name} " in line for line in lines)
