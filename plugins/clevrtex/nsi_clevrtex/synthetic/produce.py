"""Scene by scene, in this process or several: a scene depends on the seed and its index alone."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nsi_clevrtex.synthetic.camera import HEIGHT, WIDTH
from nsi_clevrtex.synthetic.files import ScenePaths, scene_json, write_scene
from nsi_clevrtex.synthetic.render import CENTRES, Traced, render, trace
from nsi_clevrtex.synthetic.scene import FEWEST_OBJECTS, Choice, SceneLayout, propose
from nsi_clevrtex.synthetic.solids import Solid
from nsi_cli.plugins import worker_pool

LEAST_PIXELS = 200
"""Every object shows more pixels than this, or the scene is drawn again."""

CHUNK = 16


@dataclass(frozen=True)
class Job:
    """All that decides the bytes of the scenes, but for their index."""

    raw: Path
    seed: int
    release: str
    choice: Choice

    def write(self, index: int) -> None:
        """Draws, renders and writes one scene."""
        layout, solids, frame = compose(np.random.default_rng((self.seed, index)), self.choice)
        variant = self.choice.variant
        paths = ScenePaths.of(self.raw, self.release, variant, index)
        image = render(layout, solids, frame)
        mask = frame.owner.reshape(HEIGHT, WIDTH)
        write_scene(paths, image, mask, scene_json(layout, paths, variant, index))

    def write_range(self, indices: range) -> int:
        """Writes a run of scenes and returns how many they were."""
        for index in indices:
            self.write(index)
        return len(indices)


def compose(rng: np.random.Generator, choice: Choice) -> tuple[SceneLayout, list[Solid], Traced]:
    """A layout in which every object is well in sight, with its traced frame.

    The number of objects is drawn once: were it drawn again after a rejection, crowded scenes
    would become rare.
    """
    count = int(rng.integers(FEWEST_OBJECTS, choice.max_objects, endpoint=True))
    while True:
        layout = propose(rng, choice, count)
        solids = [Solid.at(thing.placement) for thing in layout.things]
        frame = trace(layout.camera, solids, *CENTRES)
        pixels = np.bincount(frame.owner, minlength=count + 1)[1:]
        if pixels.min() > LEAST_PIXELS and _centres_in_frame(layout):
            return layout, solids, frame


def _centres_in_frame(layout: SceneLayout) -> bool:
    spots = layout.camera.project(np.array([thing.placement.centre for thing in layout.things]))
    x, y = spots[:, 0], spots[:, 1]
    return bool(
        (x >= 0).all() and (x < WIDTH - 1).all() and (y >= 0).all() and (y < HEIGHT - 1).all()
    )


def produce(job: Job, count: int, workers: int, advance: Callable[[int], None] | None) -> None:
    """Writes scenes 0 to count - 1; `advance` hears how many more are done."""
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
