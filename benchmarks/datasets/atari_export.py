"""Record frames of an Atari game, with OCAtari's objects, for the tasks ``table`` and ``coco``.

    python benchmarks/datasets/atari_export.py FOLDER --game Skiing --frames 1200

It needs ocatari (pip install ocatari ale-py). Actions are random, each held for some frames. Whole
episodes are training, validation or test data: 8, 1 and 1 of 10. There are boxes but no masks.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from raw_folder import Box, RawFolder

FRAMES_PER_EPISODE = 15
STEPS_BETWEEN_FRAMES = (60, 240)
STEPS_OF_AN_ACTION = (4, 30)

Objects = list[tuple[dict[str, str], Box]]


def main() -> None:
    parser = argparse.ArgumentParser(description="Record frames of an Atari game.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--game", default="Skiing")
    parser.add_argument("--frames", type=int, default=1200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    folder = RawFolder(options.folder, masked=False)
    episodes = -(-options.frames // FRAMES_PER_EPISODE)
    for episode in range(episodes):
        split = {8: "val", 9: "test"}.get(episode % 10, "train")
        for image, objects in record(options.game, options.seed * episodes + episode):
            folder.add(image, objects, split)
    folder.write()


def record(game: str, seed: int) -> Iterator[tuple[npt.NDArray[np.uint8], Objects]]:
    """Yield the frames (210, 160, 3) of an episode, with its objects: category and box."""
    from ocatari.core import OCAtari

    world = OCAtari(f"ALE/{game}-v5", mode="ram", hud=False, render_mode="rgb_array", frameskip=1)
    world.reset(seed=seed)
    generator = random.Random(seed)
    recorded = step = next_action = action = 0
    next_frame = generator.randint(*STEPS_BETWEEN_FRAMES)
    while recorded < FRAMES_PER_EPISODE:
        if step == next_action:
            action = generator.randrange(world.action_space.n)
            next_action = step + generator.randint(*STEPS_OF_AN_ACTION)
        *_, terminated, truncated, _ = world.step(action)
        step += 1
        if terminated or truncated:
            world.reset()
        elif step >= next_frame:
            image: Any = world.render()
            recorded += 1
            next_frame = step + generator.randint(*STEPS_BETWEEN_FRAMES)
            yield np.asarray(image, np.uint8), visible(world.objects, image.shape[:2])
    world.close()


def visible(objects: list[Any], shape: tuple[int, int]) -> Objects:
    """Return the objects with their boxes cut to the frame, without those outside it."""
    height, width = shape
    found = []
    for item in objects:
        left, top, w, h = map(int, item.xywh)
        right, bottom = min(left + w, width), min(top + h, height)
        left, top = max(left, 0), max(top, 0)
        if item.category != "NoObject" and right > left and bottom > top:
            found.append(({"category": item.category}, (left, top, right - left, bottom - top)))
    return found


if __name__ == "__main__":
    main()
