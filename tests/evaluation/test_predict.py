from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from nsi_cli.data.loading.batch import Batch
from nsi_cli.evaluation.predict import predict, predict_images, primitives_encoder
from nsi_cli.models.build import build_backbone
from nsi_cli.models.config import ModelConfig
from nsi_cli.models.nsi import NSI, build_nsi
from nsi_cli.models.schema_encoder import PropertySchemaEncoder
from nsi_cli.models.slot_init import slot_noise


@pytest.fixture(params=["decoder", "attention"])
def config(request) -> ModelConfig:
    return ModelConfig(
        backbone="texture",
        image_size=32,
        texture_grid=4,
        num_slots=4,
        slot_dim=8,
        num_iterations=2,
        mlp_hidden_size=8,
        reconstruct=request.param,
        decoder_hidden_size=8,
        d_model=8,
        num_blocks=1,
        num_heads=2,
        embed_dim=5,
        dropout=0.5,
    )


@pytest.fixture
def backbone(config):
    return build_backbone(config)


@pytest.fixture
def model(config, backbone, schema) -> NSI:
    torch.manual_seed(0)
    return build_nsi(
        config,
        schema,
        PropertySchemaEncoder,
        num_tokens=backbone.num_tokens,
        channels=backbone.channels,
    )


@pytest.fixture
def batch(make_predictions) -> Batch:
    predictions = make_predictions(3, side=32)
    return Batch(
        index=torch.arange(3),
        primitives=torch.from_numpy(predictions.primitives),
        present=torch.from_numpy(predictions.present),
        images=torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8),
        masks=torch.from_numpy(predictions.true_masks),
    )


def noise(config: ModelConfig) -> torch.Tensor:
    return slot_noise(config, seed=0, step=None, positions=range(3))


def test_predictions_lie_on_the_grid(config, backbone, model, batch) -> None:
    predictions = predict(model, backbone, batch, noise=noise(config))
    assert predictions.attention_masks.shape == (3, 4, 4, 4)
    assert (predictions.slot_masks is None) == (config.reconstruct == "attention")
    assert predictions.tokens.shape == (3, 4, 4, backbone.channels)
    assert predictions.appearance == backbone.appearance
    assert predictions.slots.shape == (3, 4, config.slot_dim)
    products = np.einsum(
        "bke,bte->bkt", predictions.slot_embeddings, predictions.primitive_embeddings
    )
    np.testing.assert_array_equal(predictions.aligned_slot, products.argmax(1))


@pytest.mark.parametrize("training", [True, False])
def test_dropout_is_off_while_predicting_and_the_mode_is_restored(
    config, backbone, model, batch, training: bool
) -> None:
    model.train(training)
    first = predict(model, backbone, batch, noise=noise(config))
    again = predict(model, backbone, batch, noise=noise(config))
    np.testing.assert_array_equal(first.slot_embeddings, again.slot_embeddings)
    assert model.training == training


def test_cached_features_stand_in_for_images(config, backbone, model, batch) -> None:
    features = backbone(batch.images).half()  # as a cache keeps them
    cached = Batch(batch.index, batch.primitives, batch.present, features=features)
    one = predict(model, backbone, batch, noise=noise(config))
    other = predict(model, backbone, cached, noise=noise(config))
    np.testing.assert_array_equal(one.slot_embeddings, other.slot_embeddings)


def test_bare_images_have_slots_but_no_primitives(config, backbone, model, batch, schema) -> None:
    images = batch.images.permute(0, 2, 3, 1).numpy()
    bare = predict_images(model, backbone, images, width=schema.width, noise=noise(config))
    whole = predict(model, backbone, batch, noise=noise(config))
    np.testing.assert_allclose(bare.slot_embeddings, whole.slot_embeddings, atol=1e-6)
    assert bare.primitives.shape == (3, 0, schema.width)
    for name in ("attention_masks", "slot_masks"):
        masks = getattr(whole, name)
        assert (getattr(bare, name) is None) == (masks is None)
        if masks is not None:
            np.testing.assert_allclose(getattr(bare, name), masks, atol=1e-6)


def test_the_primitives_encoder_is_the_models_own(config, backbone, model, batch) -> None:
    whole = predict(model, backbone, batch, noise=noise(config))
    encoded = primitives_encoder(model)(batch.primitives.numpy(), batch.present.numpy())
    present = batch.present.numpy()
    np.testing.assert_allclose(encoded[present], whole.primitive_embeddings[present], atol=1e-6)


def test_a_one_to_one_alignment_gives_no_slot_twice(config, backbone, schema, batch) -> None:
    chosen = dataclasses.replace(config, alignment="hungarian", num_slots=2)
    torch.manual_seed(0)
    model = build_nsi(chosen, schema, PropertySchemaEncoder,
                      num_tokens=backbone.num_tokens, channels=backbone.channels)  # fmt: skip
    batch = dataclasses.replace(batch, present=torch.ones(3, 3, dtype=torch.bool))
    predictions = predict(model, backbone, batch, noise=None)
    assert predictions.alignment == "hungarian"
    assert [sorted(row) for row in predictions.aligned_slot.tolist()] == [[-1, 0, 1]] * 3
    two = dataclasses.replace(batch, present=torch.tensor([[True, False, True]] * 3))
    predictions = predict(model, backbone, two, noise=None)
    assert [sorted(row) for row in predictions.aligned_slot[:, [0, 2]].tolist()] == [[0, 1]] * 3
    images = batch.images.permute(0, 2, 3, 1).numpy()
    assert predict_images(model, backbone, images, width=3, noise=None).alignment == "hungarian"
