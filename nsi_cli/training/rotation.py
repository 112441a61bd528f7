"""Where a run's checkpoints lie, and how a new one takes the place of the old.

At every moment there is a whole one, in its place or aside; a folder is only ever moved whole.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError, safe_open

from nsi_cli.support.errors import ConfigError
from nsi_cli.support.files import told_when_disk_fails
from nsi_cli.support.options import did_you_mean

WEIGHTS = "weights.safetensors"
STEP = "step"
"""The weights' metadata that tells how many steps the training had done."""

BEST, LAST = "best", "last"


def has_checkpoint(folder: Path) -> bool:
    """Whether there is a checkpoint at ``folder``."""
    return (whole(folder) / WEIGHTS).is_file()


def whole(folder: Path) -> Path:
    """Where the checkpoint lies: in its place, or aside where a kill fell between the renames.

    Reading moves nothing, since the training that writes it may be running.
    """
    old = _beside(folder, "old")
    return old if old.is_dir() and not folder.exists() else folder


def checkpoint_named(folder: Path, name: str) -> Path:
    """The checkpoint of that name in a run's folder of them.

    Raises `ConfigError` where there is no such; best and last may not have been saved yet.
    """
    names = [BEST, LAST, *(path.name for path in sorted(folder.glob("step-*")))]
    if name not in names:
        there = [known for known in names if has_checkpoint(folder / known)]
        raise ConfigError(
            f"no checkpoint '{name}' in {folder}",
            did_you_mean(name, there) or f"there are: {', '.join(there) or 'none yet'}",
        )
    return folder / name


@contextmanager
def taking_the_place_of(folder: Path, *, retire: bool) -> Iterator[Path]:
    """A new folder that takes the place of ``folder`` when the body ends well, else goes.

    The old one is removed or, with ``retire``, named by its step.
    """
    beside, old = _beside(folder, "part"), _beside(folder, "old")
    with told_when_disk_fails(folder):
        if old.is_dir() and not folder.exists():  # a kill fell between the two renames below
            os.replace(old, folder)
        _retire(old, folder, retire)
        shutil.rmtree(beside, ignore_errors=True)
        try:
            beside.mkdir(parents=True)
            yield beside
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise
        if folder.exists():
            os.replace(folder, old)
        os.replace(beside, folder)
        _retire(old, folder, retire)


def prune(folder: Path, keep: int) -> None:
    """Remove the ``step-…`` beside ``folder`` but for the ``keep`` − 1 that came before it."""
    now = step_of(folder)
    steps = {path: int(path.name.removeprefix("step-")) for path in folder.parent.glob("step-*")}
    before = sorted((path for path, step in steps.items() if step < now), key=steps.__getitem__)
    with told_when_disk_fails(folder):
        for path in steps.keys() - before[max(0, len(before) - keep + 1) :]:
            _remove(path)
        for path in folder.parent.glob(".step-*.gone"):
            shutil.rmtree(path, ignore_errors=True)


def step_of(folder: Path) -> int:
    """How many steps the training of a checkpoint had done; 0 where it does not say."""
    try:
        with safe_open(folder / WEIGHTS, "pt") as file:
            return int((file.metadata() or {}).get(STEP, 0))
    except SafetensorError:  # damaged: of the least worth
        return 0


def _retire(old: Path, folder: Path, retire: bool) -> None:
    """Name the checkpoint ``old`` that ``folder`` took the place of by its step, or remove it."""
    if retire and (old / WEIGHTS).is_file():
        place = folder.with_name(f"step-{step_of(old):08d}")
        _remove(place)
        os.replace(old, place)
    shutil.rmtree(old, ignore_errors=True)


def _remove(folder: Path) -> None:
    """Remove a checkpoint; a kill leaves no half of one under its name."""
    if folder.exists():
        gone = _beside(folder, "gone")
        shutil.rmtree(gone, ignore_errors=True)
        os.replace(folder, gone)
        shutil.rmtree(gone, ignore_errors=True)


def _beside(folder: Path, kind: str) -> Path:
    return folder.with_name(f".{folder.name}.{kind}")
