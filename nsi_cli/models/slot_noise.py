"""The standard normal numbers that slots start from: they belong to the scene, not the process."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from nsi_cli.models.config import ModelConfig


def slot_noise(
    config: ModelConfig, *, seed: int, step: int | None, positions: Iterable[int]
) -> Tensor:
    """Noise (B, K, D) float32 on the CPU, a pure function of seed, step and position.

    ``positions`` are places in the global batch of training step ``step``, so that a process
    that holds a part of the batch draws exactly its part; with ``step`` None they are the places
    of scenes in a split, so that an evaluation never depends on its batch size. Each position has
    a counter-based stream of its own (Philox; Salmon et al. 2011).
    """
    shape = (config.num_slots, config.slot_dim)
    places = [int(position) for position in positions]
    noise = np.empty((len(places), *shape), dtype=np.float32)
    stream = 0 if step is None else step + 1
    for row, place in zip(noise, places, strict=True):
        bits = np.random.Philox(key=seed, counter=[0, 0, place, stream])
        np.random.Generator(bits).standard_normal(dtype=np.float32, out=row)
    return torch.from_numpy(noise)
