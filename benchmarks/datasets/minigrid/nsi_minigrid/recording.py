"""Record MiniGrid frames and their objects from the simulator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium
import minigrid  # noqa: F401  (registers the environments)
import numpy as np
import numpy.typing as npt

TILE = 16
"""The side of a cell in pixels."""

STEPS = 20
"""A frame is recorded after fewer random actions than this."""


def record(
    env: str, count: int, seed: int
) -> Iterator[tuple[npt.NDArray[np.uint8], list[dict[str, Any]]]]:
    """Yield one frame (128, 128, 3) uint8 per episode, with its objects: type, color and cell."""
    world: Any = gymnasium.make(env, render_mode="rgb_array").unwrapped
    for episode in range(count):
        random = np.random.default_rng((seed, episode))
        world.reset(seed=int(random.integers(2**31)))
        for _ in range(random.integers(STEPS)):
            world.step(random.integers(3))  # left, right or forward; the agent picks up nothing
        yield world.get_frame(highlight=world.highlight, tile_size=TILE), _objects(world)


def _objects(world: Any) -> list[dict[str, Any]]:
    """Return the agent, then the objects in the cells, row by row; walls are background."""
    found = [{"type": "agent", "color": "red", "cell": [int(x) for x in world.agent_pos]}]
    for row in range(world.height):
        for column in range(world.width):
            item = world.grid.get(column, row)
            if item is not None and item.type != "wall":
                found.append({"type": item.type, "color": item.color, "cell": [column, row]})
    return found
