"""The presets that run on any machine make a model whose loss has a gradient."""

from __future__ import annotations

import pytest
import torch

from nsi_cli.models.backbone import build_backbone
from nsi_cli.models.nsi import build_nsi
from nsi_cli.models.schema_encoder import PropertySchemaEncoder
from nsi_cli.models.slot_noise import slot_noise
from nsi_cli.schema import Categorical, Continuous, Schema
from nsi_cli.training.presets import preset_names, read_preset, resolve
from nsi_cli.training.step import LOSS, Objective

OFFLINE = [name for name in preset_names() if read_preset(name).get("backbone") == "texture"]


def test_the_demo_trains_offline() -> None:
    assert "demo" in OFFLINE


@pytest.mark.parametrize("name", OFFLINE)
def test_a_preset_takes_a_step(name: str) -> None:
    config = resolve(name, None, {"task": "clevrtex"})
    schema = Schema((Categorical("shape", ("cube", "cone")), Continuous("place", 1, 0.0, 1.0)), 2)
    backbone = build_backbone(config)
    size = (2, 3, config.image_size, config.image_size)
    features = backbone(torch.randint(0, 256, size, dtype=torch.uint8))
    model = build_nsi(config, schema, PropertySchemaEncoder,
                      num_tokens=backbone.num_tokens, channels=backbone.channels)  # fmt: skip
    objective = Objective(model, tau=config.tau, beta=config.beta)
    noise = slot_noise(config, seed=0, step=0, positions=range(2))
    losses = objective(features, torch.rand(2, 2, 2).round(), torch.ones(2, 2).bool(), noise)
    losses[LOSS].backward()
    assert losses[LOSS].isfinite()
    without = [name for name, value in model.named_parameters() if value.grad is None]
    assert without == []
