"""The worker processes of a build: they load scenes, resize them, and write their rows."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nsi_cli.data.build.plan import Chunk, Plan
from nsi_cli.data.build.resize import resized
from nsi_cli.data.build.vocabulary import Translation
from nsi_cli.data.store.images import Rows, rows_of, write_at
from nsi_cli.plugins.contract import SchemaBuilder, Source
from nsi_cli.schema.scene import Scene
from nsi_cli.support.errors import DataError, NsiError, one_line
from nsi_cli.support.processes import worker_pool


@dataclass(frozen=True)
class Kept:
    """The labels of a scene whose image and mask are written."""

    number: int
    id: str
    primitives: npt.NDArray[np.float32]
    dropped: int
    hidden: int = 0
    lost: tuple[tuple[str, str], ...] = ()  # values that became missing, each with its property


@dataclass(frozen=True)
class Skipped:
    """A skipped scene, and the reason."""

    split: str
    number: int
    scene: str
    reason: str
    hint: str = ""


Loaded = Kept | Skipped


@dataclass(frozen=True)
class Job:
    """What every worker needs: a part of the plan, and the location of the rows."""

    builder: SchemaBuilder
    translate: Translation
    size: int
    images: Path
    rows: Mapping[str, Rows]

    def do(self, chunk: Chunk, file: int) -> list[Loaded]:
        """Load a chunk of scenes and write their images and masks to the open ``file``.

        Raises `DataError` for a scene that does not fit the store, `OSError` if the disk is
        full.
        """
        return [
            self._do_one(file, chunk.split, number, source)
            for number, source in enumerate(chunk.sources, start=chunk.first)
        ]

    def _do_one(self, file: int, split: str, number: int, source: Source) -> Loaded:
        scene = load_one(self.builder, self.size, split, number, source)
        if isinstance(scene, Skipped):
            return scene
        scene = self.translate.apply(scene)
        self._check(scene)
        self._write(file, split, number, scene.pixels)
        if scene.mask is not None:
            self._write(file, f"masks/{split}", number, scene.mask)
        return Kept(number, scene.id, scene.primitives, scene.dropped, scene.hidden, scene.lost)

    def _write(self, file: int, name: str, number: int, row: npt.NDArray[np.uint8]) -> None:
        rows = self.rows[name]
        write_at(file, rows.place + number * rows.bytes, np.ascontiguousarray(row))

    def _check(self, scene: Scene) -> None:
        rows, schema = scene.primitives, self.translate.schema
        if rows.shape[1] != schema.width or len(rows) > schema.max_objects:
            raise DataError(
                f"scene {scene.id}: primitives of shape {rows.shape} do not fit the schema",
                f"at most {schema.max_objects} rows of {schema.width} columns",
            )
        masked = any(name.startswith("masks/") for name in self.rows)
        if (scene.mask is not None) != masked:
            raise DataError(
                f"scene {scene.id} has {'no' if masked else 'a'} mask, unlike the scenes before it",
                "give every scene a mask, or none",
            )


def load_one(
    builder: SchemaBuilder, size: int, split: str, number: int, source: Source
) -> Scene | Skipped:
    """A scene at the store's size, or the reason why it cannot be loaded."""
    try:
        return resized(builder.load(source), size)
    except NsiError as error:
        reason, hint = error.message, error.hint
    except (OSError, ValueError, LookupError, TypeError, ArithmeticError, EOFError) as error:
        reason, hint = f"{type(error).__name__}: {error}", ""
    name, reason = str(source), one_line(reason)
    reason = reason if name in reason else f"{name}: {reason}"
    return Skipped(split, number, name, reason, hint)


def load_all(plan: Plan, images: Path) -> Iterator[tuple[str, list[Loaded]]]:
    """Load all scenes of a plan, write their rows to ``images``, and return the rest in order.

    At most three chunks per worker are pending, so memory does not grow with the number of scenes.
    Raises what `Job.do` does, and `BrokenProcessPool` if a worker is killed.
    """
    workers = plan.options.workers
    job = Job(plan.builder, plan.translate, plan.options.image_size, images, rows_of(images))
    if not workers:
        with _opened(images) as file:
            for chunk in plan.chunks():
                yield chunk.split, job.do(chunk, file)
        return
    waiting: deque[tuple[str, Future[list[Loaded]]]] = deque()
    with worker_pool(workers, _start, job) as pool:
        for chunk in plan.chunks():
            waiting.append((chunk.split, pool.submit(_do, chunk)))
            if len(waiting) >= 3 * workers:
                split, first = waiting.popleft()
                yield split, first.result()
        for split, left in waiting:
            yield split, left.result()


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    file = os.open(path, os.O_WRONLY)
    try:
        yield file
    finally:
        os.close(file)


_worker: dict[str, tuple[Job, int]] = {}


def _start(job: Job) -> None:
    """Prepare a worker: the job is sent once, not with every chunk."""
    _worker["job"] = job, os.open(job.images, os.O_WRONLY)


def _do(chunk: Chunk) -> list[Loaded]:
    job, file = _worker["job"]
    return job.do(chunk, file)
