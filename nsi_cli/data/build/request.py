"""The request of a build: raw data to render or download, a builder with options, a store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nsi_cli.data.build.build import build_store
from nsi_cli.data.build.folder import remove_leftovers
from nsi_cli.data.build.options import BuildOptions
from nsi_cli.data.build.vocabulary import Vocabulary, read_vocabulary
from nsi_cli.data.download.options import DownloadOptions
from nsi_cli.data.store.reader import Store, is_store, open_store
from nsi_cli.plugins.contract import Downloadable, Synthesizer, Task
from nsi_cli.support.errors import ConfigError, DataError, Interrupted
from nsi_cli.support.files import disk_errors_explained
from nsi_cli.support.options import check_options, plain
from nsi_cli.support.progress import Progress

if TYPE_CHECKING:
    from nsi_cli.data.download.plan import DownloadPlan

Confirm = Callable[["DownloadPlan"], object]
"""Called with the plan of a download before anything is fetched; an exception stops it."""


@dataclass(frozen=True)
class BuildRequest:
    """What to build; ``options`` are those of the task's schema builder."""

    task: Task
    out: Path
    store: BuildOptions
    raw: Path | None = None
    synthetic: int | None = None
    seed: int = 0
    force: bool = False
    vocabulary: Path | None = None  # another store, whose category ids are reused
    new_values: str = "refuse"
    download: DownloadOptions | None = None
    confirm: Confirm = lambda plan: None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def raw_folder(self) -> Path:
        """The folder of the raw data."""
        return self.raw or self.out.with_name(self.out.name + "-raw")


def run_request(
    request: BuildRequest, progress: Progress, meanwhile: Callable[[Store], object]
) -> Store:
    """Prepare the raw data, build the store, and open it.

    ``meanwhile`` is passed to `build_store`. Raises `ConfigError` and `DataError`.
    """
    builder, vocabulary = _builder(request), _vocabulary(request)
    _check_out(request.out, force=request.force)
    recorded = {**plain(builder), "raw": str(request.raw_folder)}
    recorded |= _prepare_raw(request, builder, progress)
    if vocabulary is not None:
        recorded |= {"vocabulary": vocabulary.origin, "new_values": vocabulary.new_values}
    options = replace(request.store, vocabulary=vocabulary, recorded=recorded)
    name = request.task.name
    return open_store(build_store(builder, name, request.out, options, progress, meanwhile))


def _builder(request: BuildRequest) -> Any:
    """The task's schema builder with the requested options. Raises `ConfigError`."""
    where = f"build-data {request.task.name}"
    kind = request.task.load_schema_builder()
    return check_options(kind, request.options, where=where, raw=request.raw_folder)


def _check_out(out: Path, *, force: bool) -> None:
    """Raise `DataError` if a store would replace something; remove what killed builds left."""
    remove_leftovers(out)
    if is_store(out):
        if not force:
            raise DataError(f"{out} is a store already", "replace it with --force")
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out} exists and is not a store", "choose another path with --out")


def _vocabulary(request: BuildRequest) -> Vocabulary | None:
    """The vocabulary to build with, read before any work is done."""
    if request.vocabulary is not None:
        return read_vocabulary(request.vocabulary, request.new_values)
    if request.new_values != "refuse":
        raise ConfigError(
            f"--new-values {request.new_values} has no effect without --vocabulary",
            "name the store whose category ids are reused: --vocabulary STORE",
        )
    return None


def _prepare_raw(request: BuildRequest, builder: Any, progress: Progress) -> dict[str, Any]:
    """Render or download the raw data if requested, and return what to record of it."""
    if request.download is not None:
        if request.synthetic is not None:
            raise ConfigError("--download and --synthetic exclude each other", "choose one of them")
        return {"archives": _download(request, request.download, builder, progress)}
    if request.synthetic is not None:
        return _synthesize(request, request.synthetic, builder, progress)
    return {}


def _download(
    request: BuildRequest, options: DownloadOptions, builder: Any, progress: Progress
) -> dict[str, str]:
    """Download the raw data to ``builder.raw``; returns the SHA-256 of each archive by name."""
    from nsi_cli.data.download.download import download
    from nsi_cli.data.download.plan import make_plan

    if not isinstance(builder, Downloadable):
        raise ConfigError(
            f"task '{request.task.name}' has nothing to download", "give it raw data with --raw"
        )
    try:
        plan = make_plan(builder.archives(), request.raw_folder, options, progress)
        request.confirm(plan)
        return download(plan, progress)
    except KeyboardInterrupt:
        error = Interrupted("the download was interrupted; what arrived is kept")
        error.resumable = True
        raise error from None


def _synthesize(
    request: BuildRequest, count: int, builder: Any, progress: Progress
) -> dict[str, Any]:
    """Render ``count`` synthetic raw scenes."""
    if not isinstance(builder, Synthesizer):
        raise ConfigError(
            f"task '{request.task.name}' cannot make synthetic scenes",
            "give it raw data with --raw",
        )
    workers = request.store.workers
    with (
        disk_errors_explained(request.raw_folder, "--raw"),
        progress.stage("render", count) as advance,
    ):
        builder.synthesize(count, seed=request.seed, workers=workers, advance=advance)
    return {"synthetic": count, "seed": request.seed}
