"""Every parameter starts with the distribution that the published code draws, part by part.

The release (jha-lab/neural-slot-interpreters, `models/`) has a helper that draws Xavier uniform
weights, Kaiming uniform before a ReLU, and zero biases. It uses it in the adapter, slot attention
and the transformer blocks; everything else keeps PyTorch's default.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from nsi_cli.models.config import ModelConfig
from nsi_cli.models.nsi import NSI, build_nsi
from nsi_cli.models.schema_encoder import PropertySchemaEncoder
from nsi_cli.schema import Schema


@dataclass(frozen=True)
class Uniform:
    """Uniform within ±bound."""

    bound: float

    def check(self, value: Tensor) -> None:
        assert value.abs().max() <= self.bound * (1 + 1e-6)
        if value.numel() >= 64:  # else the sample says little about its distribution
            assert value.abs().max() > self.bound * 0.9
            assert value.std().item() == pytest.approx(self.bound / 3**0.5, rel=_slack(value))
            assert abs(value.mean().item()) < 5 * self.bound / (3 * value.numel()) ** 0.5


@dataclass(frozen=True)
class Normal:
    """Standard normal."""

    def check(self, value: Tensor) -> None:
        assert value.std().item() == pytest.approx(1, rel=_slack(value))
        assert value.abs().max() > 2


@dataclass(frozen=True)
class Constant:
    """One number."""

    number: float

    def check(self, value: Tensor) -> None:
        assert (value == self.number).all()


@dataclass(frozen=True)
class Orthogonal:
    """Orthonormal columns."""

    def check(self, value: Tensor) -> None:
        torch.testing.assert_close(value.T @ value, torch.eye(value.shape[1]), atol=1e-5, rtol=0)


def _slack(value: Tensor) -> float:
    """Five standard errors of a sample's standard deviation, as a share of it."""
    return 5 * (2 * value.numel()) ** -0.5


Distribution = Uniform | Normal | Constant | Orthogonal
Rule = Callable[[Tensor], Distribution]


def xavier(gain: float = 1.0) -> Rule:
    return lambda value: Uniform(gain * (6 / (value.shape[0] + value.shape[-1])) ** 0.5)


def kaiming(value: Tensor) -> Distribution:
    return Uniform((6 / value.shape[1]) ** 0.5)


def default(fan_in: int) -> Rule:
    return lambda value: Uniform(fan_in**-0.5)


def shared_vector(value: Tensor) -> Distribution:
    """Xavier uniform on a tensor of shape (1, 1, D): both fans are D."""
    return Uniform((6 / (2 * value.shape[-1])) ** 0.5)


def normal(value: Tensor) -> Distribution:
    return Normal()


def orthogonal(value: Tensor) -> Distribution:
    return Orthogonal()


def constant(number: float) -> Rule:
    return lambda value: Constant(number)


zero, one = constant(0.0), constant(1.0)
RESIDUAL = (3 * 8) ** -0.5  # the gain of eight blocks' outputs

IMAGE = {
    r"adapter\.0\.weight": one,
    r"adapter\.1\.weight": kaiming,
    r"adapter\.3\.weight": xavier(),
    r"adapter\.\d\.bias": zero,
    r"slot_init\.(mean|log_scale)": shared_vector,
    r"slot_attention\.norm_\w+\.weight": one,
    r"slot_attention\.norm_\w+\.bias": zero,
    r"slot_attention\.(key|value|query)\.weight": xavier(),
    r"slot_attention\.gru\.weight_ih": xavier(),
    r"slot_attention\.gru\.weight_hh": orthogonal,
    r"slot_attention\.gru\.bias_[ih]h": zero,
    r"slot_attention\.mlp\.0\.weight": kaiming,
    r"slot_attention\.mlp\.2\.weight": xavier(),
    r"slot_attention\.mlp\.\d\.bias": zero,
    r"decoder\.position": normal,
    r"decoder\.mlp\.0\.(weight|bias)": default(192),
    r"decoder\.mlp\.[246]\.(weight|bias)": default(1024),
}
HEAD = {
    r"head\.project\.(weight|bias)": default(192),
    r"head\.refine\.0\.weight": one,
    r"head\.refine\.0\.bias": zero,
    r"head\.refine\.1\.0\.(weight|bias)": default(64),
    r"head\.refine\.1\.2\.(weight|bias)": default(256),
}
SCHEMA = {
    r"properties\.[012]\.table\.weight": normal,
    r"properties\.3\.project\.(weight|bias)": default(3),
    r"mix\.0\.(weight|bias)": default(4 * 192),
    r"mix\.2\.(weight|bias)": default(192),
    r"blocks\.\d\.norm_\w+\.weight": one,
    r"blocks\.\d\.norm_\w+\.bias": zero,
    r"blocks\.\d\.attention\.(query|key|value)\.weight": xavier(),
    r"blocks\.\d\.attention\.out\.weight": xavier(RESIDUAL),
    r"blocks\.\d\.mlp\.0\.weight": kaiming,
    r"blocks\.\d\.mlp\.2\.weight": xavier(RESIDUAL),
    r"blocks\.\d\.mlp\.\d\.bias": zero,
    r"norm\.weight": one,
    r"norm\.bias": zero,
}
PUBLISHED: dict[str, Rule] = {
    **{rf"image_encoder\.{name}": rule for name, rule in (IMAGE | HEAD).items()},
    **{rf"schema_encoder\.{name}": rule for name, rule in (SCHEMA | HEAD).items()},
}


@pytest.fixture(scope="module")
def model(schema: Schema) -> NSI:
    torch.manual_seed(0)
    return build_nsi(ModelConfig(), schema, PropertySchemaEncoder, num_tokens=784, channels=768)


@pytest.mark.parametrize("pattern", PUBLISHED)
def test_part_starts_as_published(model: NSI, pattern: str) -> None:
    parts = {name: value for name, value in model.named_parameters()
             if re.fullmatch(pattern, name)}  # fmt: skip
    assert parts
    for value in parts.values():
        PUBLISHED[pattern](value).check(value.detach())


def test_every_parameter_has_a_published_distribution(model: NSI) -> None:
    for name, _ in model.named_parameters():
        assert len([pattern for pattern in PUBLISHED if re.fullmatch(pattern, name)]) == 1, name
