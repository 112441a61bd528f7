"""`--preset release` computes what the published release computes, to 1e-5.

The other side is `benchmarks/published/step.py`, a restatement of the release that shares no code
with the toolkit. Both start from the same weights, draw the same slot noise, and see the same
scenes of 3, 7 and 10 objects.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nsi_cli.data.loading.batch import Batch
from nsi_cli.evaluation.predict import predict, primitives_encoder
from nsi_cli.models.backbones import timm as timm_backbone
from nsi_cli.models.backbones.base import Backbone
from nsi_cli.models.build import build_backbone
from nsi_cli.models.nsi import NSI, build_nsi
from nsi_cli.models.schema_encoder import PropertySchemaEncoder
from nsi_cli.models.slot_init import slot_noise
from nsi_cli.schema import Categorical, Continuous, Schema
from nsi_cli.training.config import TrainConfig
from nsi_cli.training.distributed import launch
from nsi_cli.training.presets import resolve
from nsi_cli.training.schedule import Plateau, learning_rate
from nsi_cli.training.step import Step

VALUES = (3, 4, 60)
SCHEMA = Schema(
    (
        Categorical("size", ("large", "medium", "small")),
        Categorical("shape", ("cube", "cylinder", "monkey", "sphere")),
        Categorical("material", tuple(f"material{i:02}" for i in range(60))),
        Continuous("position", 3, -3.0, 3.0),
    ),
    max_objects=10,
)
LENGTHS = torch.tensor([3, 7, 10])
STEPS = 3
"""Adam's first step does not depend on how large a gradient is; the second and third do."""

RATE = 4e-4 / 10_000
"""The learning rate of the first step."""

SMALL = {
    "task": "clevrtex", "accelerator": "cpu", "image_size": 32, "batch_size": 3, "num_slots": 5,
    "slot_dim": 16, "mlp_hidden_size": 24, "decoder_hidden_size": 32, "d_model": 16,
    "num_blocks": 2, "num_heads": 4, "embed_dim": 8, "dropout": 0.0,
}  # fmt: skip
"""Everything else is the preset's."""

OUR_NAMES = (
    (r"^schema_encoder\.encoder\.", "schema_encoder."),
    (r"\.slot_init\.", ".slot_attention."),
    (r"\.head\.refine\.0\.", ".head.norm."),
    (r"\.head\.refine\.1\.", ".head.mlp."),
    (r"\.attention\.", "."),
    (r"\.properties\.(\d)\.table\.", r".tables.\1."),
    (r"\.properties\.3\.project\.", ".position."),
)
"""From the names of our parameters to those of the restatement."""


def renamed(ours: dict[str, Tensor]) -> dict[str, Tensor]:
    result = {}
    for name, value in ours.items():
        for pattern, other in OUR_NAMES:
            name = re.sub(pattern, other, name)
        result[name] = value
    return result


@pytest.fixture
def published_step(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The restatement of the release."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    from published import step

    return step


@pytest.fixture(autouse=True)
def _one_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """Backbones of timm with one block and random weights."""
    import timm

    create = timm.create_model
    given: dict[str, Any] = {"depth": 1, "pretrained": False}
    monkeypatch.setattr(timm, "create_model", lambda *a, **k: create(*a, **(k | given)))
    monkeypatch.setattr(timm_backbone, "_from_hub", lambda name: None)


@dataclass(frozen=True)
class Pair:
    """Our model and the restatement's, with the same weights."""

    config: TrainConfig
    backbone: Backbone
    model: NSI
    published: Any

    def modules(self) -> nn.ModuleDict:
        return nn.ModuleDict(
            {
                "image_encoder": self.published.image_encoder,
                "schema_encoder": self.published.schema_encoder,
            }
        )


@pytest.fixture
def pair(published_step: ModuleType) -> Callable[..., Pair]:
    """A pair in float64, of the preset with some options changed."""

    def make(**options: Any) -> Pair:
        config = resolve("release", None, {**SMALL, **options})
        torch.manual_seed(0)
        backbone = build_backbone(config)
        model = build_nsi(config, SCHEMA, PropertySchemaEncoder,
                          num_tokens=backbone.num_tokens, channels=backbone.channels)  # fmt: skip
        model.double()
        with torch.no_grad():
            for parameter in model.parameters():  # off zero biases
                parameter += 0.02 * torch.randn_like(parameter)
        sizes = published_step.Sizes(
            slots=5, width=16, rounds=3, slot_hidden=24, decoder_hidden=32, model=16, heads=4,
            blocks=2, embed=8, dropout=0.0,
        )  # fmt: skip
        published = published_step.PublishedStep(plain_vit(backbone), 16, VALUES, "cpu", sizes)
        both = Pair(config, backbone, model, published)
        both.modules().double().load_state_dict(renamed(model.state_dict()))
        return both

    return make


def plain_vit(backbone: Backbone) -> nn.Module:
    """The vision transformer as the release makes it, with the weights of ours."""
    import timm

    vit = timm.create_model("vit_base_patch8_224.dino", num_classes=0, img_size=32)
    vit.load_state_dict(backbone.model.state_dict())
    return vit


def scenes(seed: int) -> Batch:
    """Images, and primitives as a store has them: rows of zeros after the last object."""
    chance = torch.Generator().manual_seed(seed)
    ids = [torch.randint(0, count, (3, 10), generator=chance).float() for count in VALUES]
    place = torch.rand(3, 10, 3, generator=chance) * 6 - 3
    present = torch.arange(10) < LENGTHS[:, None]
    rows = torch.cat([torch.stack(ids, -1), place], -1) * present[..., None]
    images = torch.randint(0, 256, (3, 3, 32, 32), generator=chance, dtype=torch.uint8)
    return Batch(torch.arange(3), rows, present, images=images)


def error(ours: Tensor, theirs: Tensor, least: float = 1e-6) -> float:
    """The largest difference, relative to the largest number, or to ``least``."""
    theirs = theirs.detach()
    return ((ours.detach() - theirs).abs().max() / theirs.abs().max().clamp(min=least)).item()


def largest_errors(pair: Pair) -> dict[str, float]:
    """How far training steps are apart: embeddings, losses, clipped gradients, and what Adam
    changes (in units of the learning rate)."""
    config, published = pair.config, pair.published
    step = Step(replace(config, precision="64"), pair.model, pair.backbone, launch(config))
    others = dict(pair.modules().named_parameters())
    apart: dict[str, list[float]] = {
        "embeddings": [], "losses": [], "gradients": [], "changes": [],
    }  # fmt: skip
    for number in range(STEPS):
        batch = scenes(number)
        noise = slot_noise(config, seed=config.seed, step=number, positions=range(3)).double()
        given = (batch.images, batch.primitives, batch.present, noise)
        theirs, own = published.losses(*given), own_embeddings(pair, batch, noise)
        before = {name: value.detach().clone() for name, value in others.items()}
        published(*given)
        result = step.train(batch, torch.ones(3, dtype=torch.bool), number, 3)
        rate = learning_rate(config.lr, number, config.lr_warmup_steps, Plateau())
        step.update(result, rate)
        apart["embeddings"] += [error(own[0], theirs.slots), error(own[1], theirs.primitives)]
        apart["losses"] += [
            error(torch.tensor(result["contrastive"]), theirs.contrastive),
            error(torch.tensor(result["reconstruction"]), theirs.reconstruction),
        ]
        for name, ours in renamed(dict(pair.model.named_parameters())).items():
            other = others[name]
            apart["gradients"].append(error(ours.grad, other.grad))
            moved, wanted = (value.detach() - before[name] for value in (ours, other))
            apart["changes"].append(error(moved / RATE, wanted / RATE, 1.0))
    return {name: max(found) for name, found in apart.items()}


def own_embeddings(pair: Pair, batch: Batch, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Our slot embeddings (3, K, E) and primitive embeddings (3, 10, E)."""
    features = pair.backbone.features(batch.images).double()
    learned = pair.model.learn(features, batch.primitives.double(), batch.present, noise)
    return learned.slots, learned.primitives


@pytest.mark.slow
def test_training_steps_are_those_of_the_release(pair: Callable[..., Pair]) -> None:
    apart = largest_errors(pair())
    assert max(apart.values()) < 1e-5, apart


@pytest.mark.slow
@pytest.mark.parametrize(
    ("option", "default", "differs"),
    [
        ("normalize", "backbone", "embeddings"),
        ("feature_precision", "16", "embeddings"),
        ("mask_absent", True, "embeddings"),
        ("max_program_len", 12, "embeddings"),
        ("num_iterations", 5, "embeddings"),
        ("tau", 0.2, "losses"),
        ("clip", "both", "gradients"),
        ("grad_clip", 2.0, "gradients"),
        ("lr_warmup_steps", 1000, "changes"),
    ],
)
def test_the_comparison_fails_with_another_value(
    option: str, default: Any, differs: str, pair: Callable[..., Pair]
) -> None:
    assert largest_errors(pair(**{option: default}))[differs] > 1e-5


@pytest.mark.slow
def test_evaluation_embeds_as_the_release_does(pair: Callable[..., Pair]) -> None:
    both, batch = pair(), scenes(0)
    noise = slot_noise(both.config, seed=0, step=None, positions=range(3))
    given = (batch.images, batch.primitives, batch.present, noise.double())
    theirs = both.published.losses(*given)
    both.model.float()
    found = predict(both.model, both.backbone, batch, noise=noise)
    assert error(torch.from_numpy(found.slot_embeddings), theirs.slots) < 1e-5
    assert error(torch.from_numpy(found.primitive_embeddings), theirs.primitives) < 1e-5
    encode = primitives_encoder(both.model)
    fewer = (batch.primitives[:2, :7].numpy(), batch.present[:2, :7].numpy())
    assert error(torch.from_numpy(encode(*fewer)), theirs.primitives[:2, :7]) < 1e-5
