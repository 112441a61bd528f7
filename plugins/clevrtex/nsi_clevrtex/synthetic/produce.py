"""Writing scenes, in this process or several; a scene depends only on the seed and its index."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nsi_clevrtex.synthetic.camera import HEIGHT, WIDTH
from nsi_clevrtex.synthetic.files import ScenePaths, scene_json, write_scene
from nsi_clevrtex.synthetic.render import CENTRES, Traced, render, trace
from nsi_clevrtex.synthetic.scene import MIN_OBJECTS, Choice, SceneLayout, propose
from nsi_clevrtex.synthetic.solids import Solid
from nsi_cli.plugins import worker_pool

MIN_PIXELS = 200
"""A scene is drawn again unless every object has more visible pixels than this."""

CHUNK = 16


@dataclass(frozen=True)
class Job:
    """Everything that determines the bytes of a scene, except its index."""

    raw: Path
    seed: int
    release: str
    choice: Choice

    def write(self, index: int) -> None:
        """Draw, render and write one scene."""
        layout, solids, frame = compose(np.random.default_rng((self.seed, index)), self.choice)
        variant = self.choice.variant
        paths = ScenePaths.of(self.raw, self.release, variant, index)
        image = render(layout, solids, frame)
        mask = frame.owner.reshape(HEIGHT, WIDTH)
        write_scene(paths, image, mask, scene_json(layout, paths, variant, index))

    def write_range(self, indices: range) -> int:
        """Write a range of scenes and return their number."""
        for index in indices:
            self.write(index)
        return len(indices)


def compose(rng: np.random.Generator, choice: Choice) -> tuple[SceneLayout, list[Solid], Traced]:
    """Return a layout in which every object is clearly visible, its solids and traced frame.

    The number of objects is drawn only once: drawing it again after a rejection would make
    crowded scenes rare.
    """
    count = int(rng.integers(MIN_OBJECTS, choice.max_objects, endpoint=True))
    while True:
        layout = propose(rng, choice, count)
        solids = [Solid.at(item.placement) for item in layout.objects]
        frame = trace(layout.camera, solids, *CENTRES)
        pixels = np.bincount(frame.owner, minlength=count + 1)[1:]
        if pixels.min() > MIN_PIXELS and _centres_in_frame(layout):
            return layout, solids, frame


def _centres_in_frame(layout: SceneLayout) -> bool:
    centres = layout.camera.project(np.array([item.placement.centre for item in layout.objects]))
    x, y = centres[:, 0], centres[:, 1]
    return bool(
        (x >= 0).all() and (x < WIDTH - 1).all() and (y >= 0).all() and (y < HEIGHT - 1).all()
    )


def produce(job: Job, count: int, workers: int, advance: Callable[[int], None] | None) -> None:
    """Write scenes 0 to count - 1; `advance` is called with the number of finished ones."""
    report = advance or (lambda count: None)
    chunks = [range(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)]
    if workers <= 1:
        for index in range(count):
            job.write(index)
            report(1)
        return
    with worker_pool(min(workers, len(chunks) or 1)) as pool:
        for done in as_completed([pool.submit(job.write_range, chunk) for chunk in chunks]):
            report(done.result())
