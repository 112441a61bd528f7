"""Interpretation: the report of a run, queries, and images of one's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nsi_cli.api.paths import PathLike
from nsi_cli.api.runs import opened
from nsi_cli.support.progress import SILENT, Progress

if TYPE_CHECKING:
    from nsi_cli.interpretation.loaded_run import LoadedRun
    from nsi_cli.interpretation.search import Retrieved
    from nsi_cli.interpretation.slot_descriptions import Descriptions
    from nsi_cli.plugins.discovery.registry import TaskRegistry


def interpret(
    run: PathLike | LoadedRun,
    *,
    split: str = "test",
    images: Sequence[PathLike] = (),
    out: PathLike | None = None,
    data: PathLike | None = None,
    checkpoint: str = "best",
    scenes: int = 12,
    top: int = 5,
    batch_size: int = 64,
    tasks: TaskRegistry | None = None,
    progress: Progress = SILENT,
) -> Path:
    """Write the report of a run on a split to ``out`` (``RUN/report``); returns the page's path.

    ``images`` are files of the user's own to show; ``scenes`` are shown, with ``top`` retrieved
    images and schemas each.
    """
    from nsi_cli.interpretation.pages.make import make_report

    loaded = opened(run, data, checkpoint, tasks, progress)
    folder = _report_folder(loaded, out)
    with _replacement_noted(folder / "index.html", progress):
        return make_report(
            loaded,
            folder,
            split=split,
            images=[Path(image) for image in images],
            scenes=scenes,
            top=top,
            batch_size=batch_size,
            progress=progress,
        )


def describe(
    run: PathLike | LoadedRun,
    images: Sequence[PathLike],
    *,
    data: PathLike | None = None,
    checkpoint: str = "best",
    tasks: TaskRegistry | None = None,
    progress: Progress = SILENT,
) -> Descriptions:
    """What each slot of images of the user's own shows: values with probabilities.

    Each slot also has its familiarity: the share of training objects whose slots score lower.
    """
    loaded = opened(run, data, checkpoint, tasks, progress)
    return loaded.describe([Path(image) for image in images], progress=progress)


@dataclass(frozen=True)
class Answers:
    """The result of `ask`."""

    found: Sequence[Retrieved]
    """The matches of each query, best first."""
    page: Path


def ask(
    run: PathLike | LoadedRun,
    queries: Sequence[str],
    *,
    split: str = "test",
    out: PathLike | None = None,
    data: PathLike | None = None,
    checkpoint: str = "best",
    top: int = 5,
    batch_size: int = 64,
    tasks: TaskRegistry | None = None,
    progress: Progress = SILENT,
) -> Answers:
    """Find the images of a split that answer queries in words, and write them as a page.

    A query such as ``large sphere whitemarble`` gives some properties of an object. The page is
    ``out/queries.html`` (``RUN/report``). Raises `ConfigError` for what is no query.
    """
    from nsi_cli.interpretation.pages.query_page import write_query_page
    from nsi_cli.interpretation.pages.report import Heading

    loaded = opened(run, data, checkpoint, tasks, progress)
    found = loaded.retrieve_all(
        queries, split=split, top=top, batch_size=batch_size, progress=progress
    )
    page = _report_folder(loaded, out) / "queries.html"
    heading = Heading(
        loaded.run.config.task, loaded.title, split, {"store": str(loaded.store.path)}
    )
    with _replacement_noted(page, progress):
        write_query_page(page, found, heading)
    return Answers(found, page)


def _report_folder(loaded: LoadedRun, out: PathLike | None) -> Path:
    """Where the pages of a run go."""
    return Path(out) if out else loaded.run.path / f"report{loaded.suffix}"


@contextmanager
def _replacement_noted(page: Path, progress: Progress) -> Iterator[None]:
    """Note that the page was replaced, if it existed before the body wrote it."""
    existed = page.exists()
    yield
    if existed:
        progress.note(f"replaced: {page}")
