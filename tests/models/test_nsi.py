"""The pair of encoders: every choice of options builds and learns."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from nsi_cli.models.alignment import contrastive_loss, reconstruction_loss, score_matrix
from nsi_cli.models.config import ModelConfig
from nsi_cli.models.nsi import NSI, build_nsi
from nsi_cli.models.schema_encoder import PropertySchemaEncoder
from nsi_cli.models.slot_init import slot_noise
from nsi_cli.schema import Schema
from nsi_cli.support.errors import NsiError

Primitives = tuple[Tensor, Tensor]


def loss_of(model: NSI, config: ModelConfig, features: Tensor, given: Primitives) -> Tensor:
    noise = slot_noise(config, seed=0, step=0, positions=range(len(features)))
    learned = model.learn(features, *given, noise)
    scores = score_matrix(learned.slots, learned.primitives, given[1], alignment=model.alignment)
    return contrastive_loss(scores, 0.1) + learned.error


def test_what_is_learned_from_is_what_is_seen(
    small: ModelConfig, schema: Schema, primitives: Primitives
) -> None:
    for reconstruct in ("decoder", "attention"):
        config = dataclasses.replace(small, reconstruct=reconstruct, dropout=0.0)
        model = build_nsi(config, schema, PropertySchemaEncoder, num_tokens=16, channels=12)
        features, noise = torch.randn(3, 16, 12), torch.randn(3, 4, config.slot_dim)
        learned, seen = (
            look(features, *primitives, noise) for look in (model.learn, model.forward)
        )
        torch.testing.assert_close(learned.slots, seen.image.embeddings)
        torch.testing.assert_close(learned.primitives, seen.primitives)
        error = reconstruction_loss(seen.image.reconstruction, features)
        torch.testing.assert_close(learned.error, error)
        assert torch.equal(model.image_encoder.embed(features, noise), learned.slots)


@pytest.mark.slow
@pytest.mark.parametrize("slot_init", ["gaussian", "learned", "tokens"])
@pytest.mark.parametrize("reconstruct", ["decoder", "attention"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_every_choice_learns_a_batch_by_heart(
    slot_init: str,
    reconstruct: str,
    dtype: torch.dtype,
    small: ModelConfig,
    schema: Schema,
    primitives: Primitives,
) -> None:
    config = dataclasses.replace(small, slot_init=slot_init, reconstruct=reconstruct)
    losses = learn(config, schema, primitives, dtype)
    assert losses[-1] < 0.8 * losses[0]


def learn(
    config: ModelConfig, schema: Schema, primitives: Primitives,
    dtype: torch.dtype = torch.float32,
) -> list[float]:  # fmt: skip
    """The losses of a few steps on one batch, each parameter of which has a gradient."""
    model = build_nsi(config, schema, PropertySchemaEncoder, num_tokens=16, channels=12)
    features = torch.randn(3, 16, 12)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    scaler = torch.amp.GradScaler("cpu", init_scale=4, enabled=dtype == torch.float16)
    losses = []
    for _ in range(15):
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            loss = loss_of(model, config, features, primitives)
        assert loss.dtype == torch.float32
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
        scaler.step(optimizer)
        scaler.update()
        losses.append(loss.item())
    return losses


@pytest.mark.slow
@pytest.mark.parametrize(
    "chosen",
    [{"alignment": "hungarian"}, {"num_blocks": 0}, {"exclude_properties": "position"},
     {"alignment": "hungarian", "num_blocks": 0, "exclude_properties": "shape,size"}],
    ids=lambda chosen: "+".join(chosen),
)  # fmt: skip
def test_the_papers_alternatives_learn_too(
    chosen: dict[str, object], small: ModelConfig, schema: Schema, primitives: Primitives
) -> None:
    config = dataclasses.replace(small, **chosen)
    losses = learn(config, schema, primitives)
    assert losses[-1] < 0.8 * losses[0]


def test_masks_and_slots_stay_in_full_precision_under_autocast(
    small: ModelConfig, schema: Schema, primitives: Primitives
) -> None:
    model = build_nsi(small, schema, PropertySchemaEncoder, num_tokens=16, channels=12)
    with torch.autocast("cpu", torch.bfloat16):
        image = model(torch.randn(3, 16, 12), *primitives).image
    assert image.slot_masks is not None
    for masks in (image.attention_masks, image.slot_masks):
        assert masks.dtype == torch.float32
        torch.testing.assert_close(masks.sum(1), torch.ones(3, 16))
    assert image.slots.dtype == torch.float32


def test_features_in_half_precision_are_welcome(
    small: ModelConfig, schema: Schema, primitives: Primitives
) -> None:
    model = build_nsi(small, schema, PropertySchemaEncoder, num_tokens=16, channels=12).eval()
    features = torch.randn(3, 16, 12).half()
    noise = torch.randn(3, small.num_slots, small.slot_dim)
    have = model(features, *primitives, noise)
    want = model(features.float(), *primitives, noise)
    assert torch.equal(have.image.embeddings, want.image.embeddings)


def test_a_plugins_encoder_of_a_wrong_shape_is_told(
    small: ModelConfig, schema: Schema, primitives: Primitives
) -> None:
    class Wrong(nn.Module):
        def forward(self, primitives: Tensor, present: Tensor) -> Tensor:
            return torch.zeros(len(primitives), 8)

    model = build_nsi(small, schema, lambda *_: Wrong(), num_tokens=16, channels=12)
    with pytest.raises(
        NsiError, match=r"schema encoder returns .* \(B=3, T=10, E=8\), not \(3, 8\)"
    ):
        model(torch.randn(3, 16, 12), *primitives)
