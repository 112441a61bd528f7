"""Initial slots: drawn from one Gaussian, learned, or from tokens far apart; and their noise."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nsi_cli.models.config import ModelConfig
from nsi_cli.models.layers import linear, precise
from nsi_cli.models.token_sample import rows_of


class GaussianInit(nn.Module):
    """Slots at μ + exp(log σ)·ε; μ and log σ are learned and shared by all slots.

    Source: Locatello et al. 2020, section 2.1.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.num_slots = config.num_slots
        self.mean = nn.Parameter(nn.init.xavier_uniform_(torch.empty(1, 1, config.slot_dim)))
        self.log_scale = nn.Parameter(nn.init.xavier_uniform_(torch.empty(1, 1, config.slot_dim)))

    def forward(self, tokens: Tensor, noise: Tensor | None) -> Tensor:
        """Tokens (B, N, C) and noise (B, K, D) → slots (B, K, D).

        Without noise, ε is drawn from torch's generator: slots that start equal stay equal.
        """
        if noise is None:
            shape = (len(tokens), self.num_slots, self.mean.shape[-1])
            noise = torch.randn(shape, dtype=self.mean.dtype, device=self.mean.device)
        return self.mean + self.log_scale.exp() * noise.to(self.mean.dtype)


class LearnedInit(nn.Module):
    """K learned slots, the same for every image; noise is ignored."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.slots = nn.Parameter(torch.randn(1, config.num_slots, config.slot_dim))

    def forward(self, tokens: Tensor, noise: Tensor | None) -> Tensor:
        """Tokens (B, N, C) → slots (B, K, D)."""
        return self.slots.expand(len(tokens), -1, -1)


class TokensInit(nn.Module):
    """Slots at Linear(token) + exp(log σ)·ε for K tokens far apart from each other.

    The choice of the tokens has no gradient; their values do. σ starts at 0.1. Without noise the
    second term is zero.
    """

    def __init__(self, config: ModelConfig, channels: int) -> None:
        super().__init__()
        self.num_slots = config.num_slots
        self.project = linear(channels, config.slot_dim)
        self.log_scale = nn.Parameter(torch.full((1, 1, config.slot_dim), -2.3))

    def forward(self, tokens: Tensor, noise: Tensor | None) -> Tensor:
        """Tokens (B, N, C) and noise (B, K, D) or None → slots (B, K, D)."""
        channels = tokens.shape[-1:]
        with torch.no_grad():
            normalised = F.layer_norm(precise(tokens), channels)
        chosen = farthest_points(normalised, self.num_slots)  # (B, K)
        picked = F.layer_norm(precise(rows_of(tokens, chosen)), channels)
        slots = precise(self.project(picked))
        if noise is None:
            return slots
        return slots + self.log_scale.exp() * noise.to(slots.dtype)


@torch.no_grad()
def farthest_points(points: Tensor, count: int) -> Tensor:
    """The indices (B, count) int64 of points far apart among points (B, N, C).

    The first is the farthest from the mean; each further one is the farthest from those chosen so
    far (Gonzalez 1985). If count exceeds N, indices repeat.
    """
    with torch.autocast(points.device.type, enabled=False):
        square = points.square().sum(-1)  # (B, N)

        def distance(centre: Tensor) -> Tensor:  # (B, 1, C) → (B, N), squared
            cross = (points @ centre.transpose(1, 2)).squeeze(-1)
            return square - 2 * cross + centre.square().sum(-1)

        chosen = [distance(points.mean(1, keepdim=True)).argmax(1)]
        nearest = torch.full_like(square, torch.inf)
        rows = torch.arange(len(points), device=points.device)
        for _ in range(count - 1):
            latest = points[rows, chosen[-1]][:, None]  # (B, 1, C)
            nearest = torch.minimum(nearest, distance(latest))
            nearest[rows, chosen[-1]] = -1.0  # so that rounding never chooses a point twice
            chosen.append(nearest.argmax(1))
        return torch.stack(chosen, dim=1)


def build_slot_init(config: ModelConfig, channels: int) -> nn.Module:
    """The module that ``config.slot_init`` names: (tokens, noise) → slots (B, K, D)."""
    if config.slot_init == "learned":
        return LearnedInit(config)
    if config.slot_init == "tokens":
        return TokensInit(config, channels)
    return GaussianInit(config)


def slot_noise(
    config: ModelConfig, *, seed: int, step: int | None, positions: Iterable[int]
) -> Tensor:
    """Noise (B, K, D) float32 on the CPU, a pure function of seed, step and position.

    ``positions`` are those in the global batch of training step ``step``, so that a process that
    holds a part of the batch draws exactly its part. With ``step`` None they are the indices of
    scenes in a split, so that an evaluation does not depend on its batch size. Each position has
    its own counter-based stream (Philox; Salmon et al. 2011).
    """
    shape = (config.num_slots, config.slot_dim)
    positions = [int(position) for position in positions]
    noise = np.empty((len(positions), *shape), dtype=np.float32)
    stream = 0 if step is None else step + 1
    for row, position in zip(noise, positions, strict=True):
        bits = np.random.Philox(key=seed, counter=[0, 0, position, stream])
        np.random.Generator(bits).standard_normal(dtype=np.float32, out=row)
    return torch.from_numpy(noise)
