"""The steps of ``nsi build-data TASK``, each a function of what was asked for."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nsi_cli.cli.build_summary import write_summary
from nsi_cli.cli.download import run_download
from nsi_cli.cli.state import State
from nsi_cli.errors import ConfigError, DataError, Interrupted

if TYPE_CHECKING:
    from nsi_cli.data.build import BuildOptions
    from nsi_cli.data.download_options import DownloadOptions
    from nsi_cli.data.vocabulary import Vocabulary
    from nsi_cli.plugins.contract import Task


@dataclass(frozen=True)
class BuildRequest:
    """What the flags of ``nsi build-data TASK`` ask for; ``options`` are those of the task."""

    task: Task
    out: Path
    raw: Path | None = None
    synthetic: int | None = None
    image_size: int = 224
    workers: int | None = None
    max_skipped: float = 0.001
    vocabulary: Path | None = None  # another store, in whose words this one is built
    new_values: str = "refuse"
    limit: int | None = None
    shard: tuple[int, int] | None = None  # this part of so many
    seed: int = 0
    force: bool = False
    download: DownloadOptions | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def place(self) -> Path:
        """Where the store, or the shard of it, goes."""
        from nsi_cli.data.build_parts import Shard

        return self.out if self.shard is None else Shard(*self.shard).place(self.out)

    @property
    def raw_folder(self) -> Path:
        """Where the raw data is, or goes."""
        return self.raw or self.out.with_name(self.out.name + "-raw")

    @property
    def processes(self) -> int:
        """How many processes work."""
        return (os.cpu_count() or 1) if self.workers is None else self.workers


def run_build(state: State, request: BuildRequest) -> dict[str, Any]:
    """Prepare the raw data, build the store, and return its ``build.json``."""
    from nsi_cli.data.build import build_store
    from nsi_cli.data.store import open_store

    builder, words = make_builder(request), read_words(request)
    check_place(request.place, force=request.force)
    told = prepare_raw(state, request, builder)
    if words is not None:
        told |= {"vocabulary": words.origin, "new_values": words.new_values}
    options = build_options(request, builder, words, told)
    built = build_store(
        builder,
        request.task.name,
        request.out,
        options,
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


def check_place(out: Path, *, force: bool) -> None:
    """Raise `DataError` where a store would take the place of something else."""
    from nsi_cli.data.build_folder import clear_rest
    from nsi_cli.data.store import is_store

    if is_store(out):
        clear_rest(out)
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
        builder.synthesize(count, seed=request.seed, workers=request.processes, advance=advance)
    return {"synthetic": count, "seed": request.seed}


def build_options(
    request: BuildRequest, builder: Any, words: Vocabulary | None, told: Mapping[str, Any]
) -> BuildOptions:
    """How the store is built; ``told`` is recorded beside the builder's own options."""
    from nsi_cli.data.build import BuildOptions
    from nsi_cli.data.build_parts import Shard
    from nsi_cli.options import plain

    return BuildOptions(
        image_size=request.image_size,
        workers=request.processes,
        max_skipped=request.max_skipped,
        limit=request.limit,
        shard=None if request.shard is None else Shard(*request.shard),
        vocabulary=words,
        told={**plain(builder), "raw": str(request.raw_folder), **told},
    )


@contextmanager
def told_how_to_go_on() -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into the command by which the build goes on: the same one."""
    try:
        yield
    except KeyboardInterrupt:
        again = shlex.join(["nsi", *sys.argv[1:]])
        raise Interrupted("interrupted", f"go on with: {again}") from None
