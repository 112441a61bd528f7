"""The run folder: everything that eval, interpret and --resume need."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nsi_cli.data.store.record import read_schema
from nsi_cli.schema import Schema
from nsi_cli.support.errors import DataError
from nsi_cli.support.files import disk_errors_explained, replacing, write_json
from nsi_cli.support.options import check_options, plain
from nsi_cli.training.checkpoint import BEST, LAST, checkpoint_named
from nsi_cli.training.config import TrainConfig
from nsi_cli.training.presets import read_config_file

CONFIG = "config.yaml"
SCHEMA = "schema.json"
EXPORTED = "training_data.json"
"""What an export has and a run has not; see `nsi_cli.interpretation.exported`."""


@dataclass(frozen=True)
class Run:
    """A training's folder, with its options and its schema."""

    path: Path
    config: TrainConfig
    schema: Schema

    @property
    def best(self) -> Path:
        """The checkpoint of the best validation loss."""
        return self.path / "checkpoints" / BEST

    @property
    def last(self) -> Path:
        """The newest checkpoint."""
        return self.path / "checkpoints" / LAST

    def checkpoint(self, name: str) -> Path:
        """The checkpoint of that name: best, last, or step-… Raises `ConfigError`."""
        return checkpoint_named(self.best.parent, name)

    @property
    def metrics(self) -> Path:
        """The losses and measures of the training, one JSON object a line."""
        return self.path / "metrics.jsonl"

    def check_schema(self, schema: Schema, store: Path) -> None:
        """Raise `DataError` where a store has another schema than the run."""
        if schema.fingerprint != self.schema.fingerprint:
            raise DataError(
                f"store {store} has another schema than run {self.path}: "
                + _difference(self.schema, schema),
                f"build the store with --vocabulary {self.path} to reuse the run's category ids, "
                "name the store that it was trained on with --data, or train on this one",
            )


def _difference(one: Schema, other: Schema) -> str:
    if one.max_objects != other.max_objects:
        return f"at most {other.max_objects} objects, not {one.max_objects}"
    names = [[item.name for item in schema.properties] for schema in (one, other)]
    if names[0] != names[1]:
        return f"properties {', '.join(names[1])}, not {', '.join(names[0])}"
    changed = [a.name for a, b in zip(one.properties, other.properties, strict=True) if a != b]
    return f"'{changed[0]}' has other values"


def create_run(path: Path, config: TrainConfig, schema: Schema) -> Run:
    """Make a new run folder. Raises `DataError` if a run already exists there."""
    if (path / CONFIG).exists():
        raise DataError(
            f"a run already exists at {path}",
            f"continue it with --resume {path}, or choose another --out",
        )
    write_json(path / SCHEMA, schema.to_json())
    run = Run(path, config, schema)
    write_config(run)  # written last: it marks the folder as a run
    return run


def write_config(run: Run) -> None:
    """Write a run's options, all or none."""
    with replacing(run.path / CONFIG) as temporary:
        temporary.write_text(as_yaml(plain(run.config)), encoding="utf-8")


def open_run(path: Path) -> Run:
    """Read a run folder. Raises `DataError` if it is not one."""
    hint = "name the folder that nsi train made, for example runs/TASK/TIME"
    if not (path / CONFIG).is_file():
        raise DataError(f"no run at {path}: it has no {CONFIG}", hint)
    values = read_config_file(path / CONFIG)
    config = check_options(TrainConfig, values, where=str(path / CONFIG))
    schema = read_schema(path / SCHEMA, "schema", hint)
    return Run(path, config, schema)


def is_export(folder: Path) -> bool:
    """Whether a folder is an export, and not a run."""
    return (folder / EXPORTED).is_file()


def as_yaml(values: Mapping[str, Any]) -> str:
    """Options as YAML, one a line, in their order."""
    import yaml

    return yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True)


LOCK = ".lock"


@contextmanager
def run_lock(run: Path, *, first: bool = True) -> Iterator[None]:
    """Hold a run's folder alone among processes. Raises `DataError` if another trains it.

    Of processes that train one run together only the ``first`` holds it. A record lock: the
    system lets go of it when the process ends, however that is, and loader processes that were
    forked do not hold it in its place. Where there are no such locks nothing is held.
    """
    try:
        import fcntl
    except ImportError:
        first = False
    if not first:
        yield
        return
    with disk_errors_explained(run):
        file = (run / LOCK).open("a+", encoding="utf-8")
    with file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):  # POSIX lets a system choose either
            file.seek(0)
            raise _taken(run, file.read().strip()) from None
        except OSError:  # a file system without locks
            pass
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield


def _taken(run: Path, holder: str) -> DataError:
    return DataError(
        f"run {run} is being trained right now" + (f", by {holder}" if holder else ""),
        "wait for it to end, or stop it: Ctrl-C and SIGTERM save it first",
    )
