"""Loading the scenes of a plan and writing their images, in worker processes if there are any."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path, PurePath

from nsi_cli.data.build.plan import Chunk, Plan
from nsi_cli.data.build.resize import resized
from nsi_cli.data.build.vocabulary import Translation
from nsi_cli.data.store.rows import Rows
from nsi_cli.data.store.writer import StoredScene
from nsi_cli.plugins.contract import SchemaBuilder, Source
from nsi_cli.schema import Categorical
from nsi_cli.schema.properties import MISSING_ID
from nsi_cli.schema.scene import Scene
from nsi_cli.support.errors import DataError, NsiError, SchemaError, one_line, unexpected
from nsi_cli.support.workers import worker_pool


@dataclass(frozen=True)
class SkippedScene:
    """A scene that cannot be read, and the reason."""

    split: str
    scene: str
    reason: str
    hint: str = ""


Result = StoredScene | SkippedScene


@dataclass(frozen=True)
class SceneWriter:
    """Loads scenes and writes them to the file of images; every worker has a copy."""

    builder: SchemaBuilder
    translate: Translation
    image_size: int
    images: Path
    rows: Mapping[str, Rows]
    scene_label: Categorical | None

    def write(self, chunk: Chunk) -> list[Result]:
        """Load the scenes of a chunk and write their images and masks.

        Raises `DataError` for a scene that does not fit the store, `OSError` if the disk is full.
        """
        with self.images.open("r+b", buffering=0) as file:
            return [
                self._write_one(file.fileno(), chunk.split, number, source)
                for number, source in enumerate(chunk.sources, start=chunk.start)
            ]

    def _write_one(self, file: int, split: str, number: int, source: Source) -> Result:
        scene = load_scene(self.builder, self.image_size, split, source)
        if isinstance(scene, SkippedScene):
            return scene
        scene = self.translate.apply(scene)
        self._check(scene)
        self.rows[split].write(file, number, scene.pixels)
        if scene.mask is not None:
            self.rows[f"masks/{split}"].write(file, number, scene.mask)
        label = self._label_id(scene)
        return StoredScene(
            number, scene.id, scene.primitives, scene.dropped, scene.hidden, scene.lost, label
        )

    def _label_id(self, scene: Scene) -> int:
        """The id of the scene's label, −1 without one. Raises `DataError` if it is not declared."""
        if scene.label is None:
            return MISSING_ID
        if self.scene_label is None:
            raise DataError(
                f"scene {scene.id} has the label '{scene.label}', but the task declares none",
                "give the schema builder a method scene_label() that returns Categorical(…)",
            )
        try:
            return self.scene_label.encode(scene.label)
        except SchemaError as error:
            raise DataError(f"scene {scene.id}: {error.message}", error.hint) from None

    def _check(self, scene: Scene) -> None:
        primitives, schema = scene.primitives, self.translate.schema
        if primitives.shape[1] != schema.width or len(primitives) > schema.max_objects:
            raise DataError(
                f"scene {scene.id}: primitives of shape {primitives.shape} do not fit the schema",
                f"at most {schema.max_objects} rows of {schema.width} columns",
            )
        masked = any(name.startswith("masks/") for name in self.rows)
        if (scene.mask is not None) != masked:
            raise DataError(
                f"scene {scene.id} has {'no' if masked else 'a'} mask, unlike the scenes before it",
                "give every scene a mask, or none",
            )


def load_scene(
    builder: SchemaBuilder, size: int, split: str, source: Source
) -> Scene | SkippedScene:
    """A scene at the store's image size, or the reason why it cannot be loaded."""
    try:
        return resized(builder.load(source), size)
    except NsiError as error:
        reason, hint = error.message, error.hint
    except (OSError, ValueError, LookupError, TypeError, ArithmeticError, EOFError) as error:
        reason, hint = unexpected(error, type(builder).__module__), ""
    name = str(source)
    return SkippedScene(split, name, _with_name(name, one_line(reason)), hint)


def _with_name(name: str, reason: str) -> str:
    """A reason that names the scene once; one may begin with the last part of a path."""
    file = PurePath(name).name
    if name in reason:
        return reason
    return name + reason.removeprefix(file) if reason.startswith(file) else f"{name}: {reason}"


def write_scenes(
    plan: Plan, images: Path, rows: Mapping[str, Rows]
) -> Iterator[tuple[str, list[Result]]]:
    """Write all scenes of a plan to a file; yield the split and results of each chunk in order.

    At most three per worker are pending, so memory does not grow with the number of scenes.
    Raises the errors of `SceneWriter.write`, and `BrokenProcessPool` if a worker is killed.
    """
    workers = plan.options.workers
    writer = SceneWriter(
        plan.builder, plan.translate, plan.options.image_size, images, rows, plan.scene_label
    )
    if not workers:
        for chunk in plan.chunks():
            yield chunk.split, writer.write(chunk)
        return
    pending: deque[tuple[str, Future[list[Result]]]] = deque()
    with worker_pool(workers, _start_worker, writer) as pool:
        for chunk in plan.chunks():
            pending.append((chunk.split, pool.submit(_write, chunk)))
            if len(pending) >= 3 * workers:
                split, results = pending.popleft()
                yield split, results.result()
        for split, results in pending:
            yield split, results.result()


_writer: SceneWriter


def _start_worker(writer: SceneWriter) -> None:
    """Prepare a worker: the writer is sent once, not with every chunk."""
    global _writer
    _writer = writer


def _write(chunk: Chunk) -> list[Result]:
    return _writer.write(chunk)
