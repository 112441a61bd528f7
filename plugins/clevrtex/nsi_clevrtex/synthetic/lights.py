"""Light: a key lamp that casts shadows, a fill lamp that does not, and the sky.

Intensities are linear; a white surface at the origin that faces the key lamp receives `key` from
it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]

KEY_POSITION = (7.0, 2.2, 8.2)
FILL_POSITION = (-4.0, -8.0, 5.0)
JITTER = 1.0

WARM = np.array([1.0, 0.96, 0.89], np.float32)
COOL = np.array([0.90, 0.95, 1.0], np.float32)


@dataclass(frozen=True)
class Lights:
    """Positions (3,) in world units, colours (3,) linear RGB.

    `softness` is the blur of the shadows on the ground in world units.
    """

    key_position: Vector
    key: Vector
    fill_position: Vector
    fill: Vector
    ambient: Vector
    softness: float

    @classmethod
    def sample(cls, rng: np.random.Generator) -> Lights:
        """Return lamps near their default positions, with hard or soft shadows at equal odds."""
        key_at = np.array(KEY_POSITION) + rng.uniform(-JITTER, JITTER, 3) * (1.5, 1.5, 1.0)
        fill_at = np.array(FILL_POSITION) + rng.uniform(-JITTER, JITTER, 3)
        hard = bool(rng.random() < 0.5)
        softness = 0.03 if hard else float(rng.uniform(0.09, 0.2))
        key, fill, ambient = rng.uniform((1.0, 0.12, 0.26), (1.35, 0.24, 0.38))
        return cls(
            key_at.astype(np.float32),
            WARM * np.float32(key),
            fill_at.astype(np.float32),
            COOL * np.float32(fill),
            COOL * np.float32(ambient),
            softness,
        )
