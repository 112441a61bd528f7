"""A random sample of tokens whose reconstruction error stands for that of all tokens."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

_PURPOSE = 1  # the word of the counter that is 0 for slot noise


def token_sample(
    tokens: int, count: int, *, seed: int, step: int, positions: Iterable[int]
) -> Tensor:
    """``count`` of the ``tokens`` of each scene (B, count) int64 on the CPU, ascending.

    Each subset is equally likely, so the mean error of a sample is an unbiased estimate of the mean
    error. The sample is a pure function of the seed, the training step and the scene's position in
    the global batch, like slot noise: see `slot_noise`.
    """
    positions = [int(position) for position in positions]
    sample = np.empty((len(positions), count), dtype=np.int64)
    for row, position in zip(sample, positions, strict=True):
        bits = np.random.Philox(key=seed, counter=[0, _PURPOSE, position, step + 1])
        row[:] = np.random.Generator(bits).choice(tokens, count, replace=False, shuffle=False)
    sample.sort(1)
    return torch.from_numpy(sample)


def rows_of(values: Tensor, sample: Tensor | None) -> Tensor:
    """The rows (B, n, C) of values (B, N, C) at a sample (B, n); all if it is None."""
    if sample is None:
        return values
    return values.gather(1, sample.unsqueeze(-1).expand(-1, -1, values.shape[-1]))
