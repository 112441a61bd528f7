"""The steps of ``nsi build-data TASK``, each a function of what was asked for."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nsi_cli.cli.build_summary import write_summary
from nsi_cli.cli.download import run_download
from nsi_cli.cli.state import State
from nsi_cli.errors import ConfigError, DataError, Interrupted
from nsi_cli.threads import available_cores

if TYPE_CHECKING:
    from nsi_cli.data.build_options import BuildOptions
    from nsi_cli.data.download_options import DownloadOptions
    from nsi_cli.data.vocabulary import Vocabulary
    from nsi_cli.plugins.contract import Task


@dataclass(frozen=True)
class BuildRequest:
    """What the flags of ``nsi build-data TASK`` ask for; ``options`` are those of the task."""

    task: Task
    out: Path
    store: BuildOptions
    raw: Path | None = None
    synthetic: int | None = None
    seed: int = 0
    force: bool = False
    vocabulary: Path | None = None  # another store, whose ids are used
    new_values: str = "refuse"
    download: DownloadOptions | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def raw_folder(self) -> Path:
        """Where the raw data is, or goes."""
        return self.raw or self.out.with_name(self.out.name + "-raw")


def cores_if_none(workers: int | None) -> int:
    """The number of worker processes: one for each available core unless it is given."""
    return available_cores() if workers is None else workers


def run_build(state: State, request: BuildRequest) -> dict[str, Any]:
    """Prepare the raw data, build the store, and return its ``build.json``."""
    from nsi_cli.data.build import build_store
    from nsi_cli.data.store import open_store
    from nsi_cli.options import plain

    builder, vocabulary = make_builder(request), read_words(request)
    check_out(request.out, force=request.force)
    recorded = {**plain(builder), "raw": str(request.raw_folder)}
    recorded |= prepare_raw(state, request, builder)
    if vocabulary is not None:
        recorded |= {"vocabulary": vocabulary.origin, "new_values": vocabulary.new_values}
    built = build_store(
        builder,
        request.task.name,
        request.out,
        replace(request.store, vocabulary=vocabulary, recorded=recorded),
        state.progress,
        meanwhile=lambda store: write_summary(store, state.progress),
    )
    return open_store(built).build


def make_builder(request: BuildRequest) -> Any:
    """The task's schema builder with the options that were given. Raises `ConfigError`."""
    from nsi_cli.options import check_options

    where = f"build-data {request.task.name}"
    kind = request.task.load_schema_builder()
    return check_options(kind, request.options, where=where, raw=request.raw_folder)


def check_out(out: Path, *, force: bool) -> None:
    """Raise `DataError` where a store would replace something; clear what killed builds left."""
    from nsi_cli.data.build_folder import remove_leftovers
    from nsi_cli.data.store import is_store

    remove_leftovers(out)
    if is_store(out):
        if not force:
            raise DataError(f"there is a store at {out} already", "replace it with --force")
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(
            f"{out} is there already, and is no store", "choose another place with --out"
        )


def read_words(request: BuildRequest) -> Vocabulary | None:
    """The vocabulary that the store is to be built with, read before any work is done."""
    from nsi_cli.data.vocabulary import read_vocabulary

    if request.vocabulary is not None:
        return read_vocabulary(request.vocabulary, request.new_values)
    if request.new_values != "refuse":
        raise ConfigError(
            f"--new-values {request.new_values} says nothing without --vocabulary",
            "name the store whose words are taken, with --vocabulary STORE",
        )
    return None


def prepare_raw(state: State, request: BuildRequest, builder: Any) -> dict[str, Any]:
    """Make or fetch the raw data where that is asked for, and return what to record of it."""
    if request.download is not None:
        if request.synthetic is not None:
            raise ConfigError("--download and --synthetic exclude each other", "choose one of them")
        return {"archives": run_download(state, request.task.name, builder, request.download)}
    if request.synthetic is not None:
        return synthesize(state, request, builder, request.synthetic)
    return {}


def synthesize(state: State, request: BuildRequest, builder: Any, count: int) -> dict[str, Any]:
    """Make ``count`` synthetic raw scenes."""
    from nsi_cli.files import told_when_disk_fails
    from nsi_cli.plugins.contract import Synthesizer

    if not isinstance(builder, Synthesizer):
        raise ConfigError(
            f"task '{request.task.name}' cannot make synthetic scenes",
            "give it raw data with --raw",
        )
    with (
        told_when_disk_fails(request.raw_folder, "--raw"),
        state.progress.stage("render", count) as advance,
    ):
        builder.synthesize(count, seed=request.seed, workers=request.store.workers, advance=advance)
    return {"synthetic": count, "seed": request.seed}


@contextmanager
def rerun_hinted() -> Iterator[None]:
    """Turn Ctrl-C, SIGTERM and SIGHUP into an error whose hint is the same command."""
    try:
        yield
    except KeyboardInterrupt:
        again = shlex.join(["nsi", *sys.argv[1:]])
        raise Interrupted("interrupted", f"start again with: {again}") from None
