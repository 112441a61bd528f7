"""The texture backbone sees colour and texture where they are, without any weights."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from nsi_cli.models.backbones.base import Backbone
from nsi_cli.models.build import build_backbone
from nsi_cli.models.config import ModelConfig
from nsi_cli.support.errors import NsiError


def backbone(image_size: int = 64, grid: int = 8, position: float = 2.0) -> Backbone:
    config = ModelConfig(
        backbone="texture", image_size=image_size, texture_grid=grid, texture_position=position
    )
    return build_backbone(config)


def waves(angle: float, wavelength: float, start: float = 0.0, side: int = 64) -> Tensor:
    """A grey grating (3, side, side) whose waves run along ``angle``, from phase ``start``."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    phase = (x * math.cos(angle) + y * math.sin(angle)) * (2 * math.pi / wavelength) + start
    return (127 + 80 * phase.sin()).to(torch.uint8).expand(3, side, side)


def appearance(images: Tensor) -> Tensor:
    """The tokens (B, h, w, C') of a 64² image's inner part, position left out."""
    seer = backbone()
    return seer(images).unflatten(1, seer.grid)[:, 2:-2, 2:-2, seer.appearance]


def test_features_have_the_promised_shape_and_no_gradient() -> None:
    seer = backbone(96, 12)
    features = seer(torch.randint(0, 256, (2, 3, 96, 96), dtype=torch.uint8))
    assert features.shape == (2, seer.num_tokens, seer.channels)
    assert seer.grid == (12, 12)
    assert features.dtype == torch.float32
    assert features.isfinite().all()
    assert not features.requires_grad
    assert not list(seer.parameters())


@pytest.mark.parametrize(("image_size", "grid"), [(16, 2), (65, 7), (50, 14)])
def test_any_size_and_grid_work_and_a_flat_image_is_finite(image_size: int, grid: int) -> None:
    black = torch.zeros(1, 3, image_size, image_size, dtype=torch.uint8)
    assert backbone(image_size, grid)(black).isfinite().all()


def test_position_comes_last_and_is_the_same_for_every_image() -> None:
    seer = backbone()
    features = seer(torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8))
    position = features[..., seer.appearance.stop :]
    assert torch.equal(position[0], position[1])
    assert len(position[0].unique(dim=0)) == seer.num_tokens
    corner, row_end = position[0, 0, :2], position[0, 7, :2]  # x then y, row by row
    torch.testing.assert_close(corner, torch.tensor([-1.75, -1.75]))  # twice −7/8: it counts double
    torch.testing.assert_close(row_end, torch.tensor([1.75, -1.75]))


def test_each_image_is_seen_for_itself() -> None:
    seer = backbone()
    images = torch.randint(0, 256, (3, 3, 64, 64), dtype=torch.uint8)
    torch.testing.assert_close(seer(images)[1:2], seer(images[1:2]))


def test_a_token_sees_its_own_part_of_the_image() -> None:
    image = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    changed = image.clone()
    changed[..., :8, 56:] = 255  # the upper right cell
    seer = backbone()
    gap = (seer(changed) - seer(image)).abs().sum(-1)[0].view(8, 8)
    assert gap.argmax().item() == 7
    assert gap[4:, :4].max() < 0.01 * gap.max()


@pytest.mark.parametrize("wavelength", [4.5, 9.0, 18.0])
def test_orientation_and_scale_are_told_apart(wavelength: float) -> None:
    turned = [waves(angle, wavelength) for angle in (0.0, math.pi / 4, math.pi / 2)]
    tokens = appearance(torch.stack([*turned, waves(0.0, 2 * wavelength)])).flatten(1, 2)
    within = (tokens - tokens.mean(1, keepdim=True)).norm(dim=-1).mean()
    centres = tokens.mean(1)
    apart = torch.cdist(centres, centres) + torch.eye(4) * 1e9
    assert apart.min() > within


def test_a_filters_energy_does_not_depend_on_where_a_wave_starts() -> None:
    seer = backbone()
    phases = torch.stack([waves(0.0, 18.0, start) for start in (0.0, 0.8, 1.6, 2.4)])
    along = seer(phases)[..., seer.appearance.stop - 10]  # coarsest scale, first orientation
    spread = along.unflatten(1, (8, 8))[:, 2:-2, 2:-2].std(0)
    assert spread.max() < 0.02


def test_colours_are_told_apart() -> None:
    red, green = torch.tensor([200, 60, 60]), torch.tensor([60, 125, 60])  # near in luminance
    images = torch.stack([red, green]).to(torch.uint8)[:, :, None, None].expand(2, 3, 64, 64)
    tokens = appearance(images.contiguous()).flatten(1, 2)
    assert (tokens[0] - tokens[1]).norm(dim=-1).min() > 1


def test_images_of_another_size_are_resized_and_of_another_type_refused() -> None:
    seer = backbone()
    small = torch.full((1, 3, 32, 32), 90, dtype=torch.uint8)
    large = torch.full((1, 3, 64, 64), 90, dtype=torch.uint8)
    torch.testing.assert_close(seer(small), seer(large))
    with pytest.raises(NsiError, match="uint8"):
        seer(large.float())
    with pytest.raises(NsiError, match="shape"):
        seer(large[:, :1])


def test_there_is_no_normalisation_to_leave_out() -> None:
    plain = build_backbone(
        ModelConfig(backbone="texture", image_size=64, texture_grid=8, normalize="none")
    )
    assert plain.fingerprint() == backbone().fingerprint()


def test_fingerprint_follows_the_settings() -> None:
    prints = {backbone(*size).fingerprint() for size in ((64, 8), (64, 9), (96, 8))}
    assert len(prints) == 3
    assert backbone().fingerprint() in prints


def test_position_counts_as_much_as_asked_and_appearance_stays() -> None:
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    one, three = backbone(position=1.0), backbone(position=3.0)
    assert one.fingerprint() != three.fingerprint()
    seen = slice(one.appearance.stop, None)
    torch.testing.assert_close(one(images)[..., one.appearance], three(images)[..., one.appearance])
    torch.testing.assert_close(3 * one(images)[..., seen], three(images)[..., seen])
    assert one(images)[..., seen].std() > 0.1


VALUES = (
    (0.50813, -13.19371, -3.49014, 6.26941),
    (-15.65283, -12.99023, -1.46999, -4.24278),
    (-10.05615, -7.48587, 3.48372, -15.63011),
    (-8.19892, -4.80117, -11.50305, -21.36744),
)
"""Weighted sums of the features of each token."""


def test_features_of_this_revision_have_these_values() -> None:
    """A change of the arithmetic needs a new `_REVISION`, and new values here."""
    y, x = torch.meshgrid(torch.arange(48), torch.arange(48), indexing="ij")
    image = torch.stack([(5 * x + 3 * y) % 256, (x * y) % 256, 128 + 100 * (x / 2).sin().long()])
    features = backbone(48, 4)(image.to(torch.uint8)[None])[0].double()
    weights = torch.arange(features.shape[1], dtype=torch.float64).cos()
    expected = torch.tensor(VALUES, dtype=torch.float64)
    torch.testing.assert_close((features @ weights).view(4, 4), expected, rtol=1e-4, atol=1e-4)
