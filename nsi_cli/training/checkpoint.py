"""Checkpoints: weights as safetensors, the rest as a torch file that can hold no code.

At every moment there is a whole checkpoint on disk, in its place or beside it; a folder is only
ever moved whole.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as tensors_from_bytes
from safetensors.torch import save as tensors_as_bytes
from torch import Tensor, nn

from nsi_cli.support.errors import ConfigError, DataError
from nsi_cli.support.files import told_when_disk_fails
from nsi_cli.support.options import did_you_mean
from nsi_cli.support.reading import CHECKPOINT_LIMIT, open_regular, read_regular, reason_of
from nsi_cli.training.schedule import Plateau

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


STATE = "state.pt"


@dataclass(frozen=True)
class Progressed:
    """How far a run is: steps done in all, the epoch it is in, and batches done of that epoch.

    ``running`` sums the losses of the ``counted`` batches of the epoch that were not skipped, for
    the epoch's mean.
    """

    step: int = 0
    epoch: int = 0
    batches: int = 0
    running: float = 0.0
    counted: int = 0
    plateau: Plateau = field(default_factory=Plateau)

    def after(self, loss: float | None) -> Progressed:
        """One batch further; ``loss`` is None where it was skipped."""
        more = replace(self, step=self.step + 1, batches=self.batches + 1)
        if loss is None:
            return more
        return replace(more, running=self.running + loss, counted=self.counted + 1)


def save_checkpoint(
    folder: Path,
    weights: dict[str, Tensor],
    state: dict[str, Any],
    progressed: Progressed,
    *,
    keep: int | None = None,
) -> None:
    """Write a checkpoint. At every moment there is a whole one on disk, the old or the new.

    ``state`` is what else the training holds: plain values and tensors, by name. ``keep`` is how
    many of the newest stay, this one included: those before it as ``step-00001200`` beside it,
    where later ones, of a training that went back, go. None leaves what lies beside it alone.
    Raises `DataError` where the disk refuses; the old checkpoint then stays.
    """
    with taking_the_place_of(folder, retire=bool(keep and keep > 1)) as beside:
        tensors = {key: value.detach().cpu().contiguous() for key, value in weights.items()}
        told = {STEP: str(progressed.step)}
        _write(beside / WEIGHTS, tensors_as_bytes(tensors, metadata=told))
        packed = BytesIO()
        torch.save({**state, "progressed": asdict(progressed)}, packed)
        _write(beside / STATE, packed.getbuffer())
    if keep:
        prune(folder, keep)


def go_back(folder: Path, chosen: Path) -> None:
    """Make the checkpoint ``chosen`` of a run its last one, which is at ``folder``.

    The last one so far is kept as ``step-…`` until the next one is saved. Raises `DataError`
    where ``chosen`` cannot be read; then nothing is moved.
    """
    if chosen == folder:
        return
    load_weights(chosen)
    load_state(chosen)
    source = whole(chosen)
    with taking_the_place_of(folder, retire=True) as beside:
        for name in (WEIGHTS, STATE):
            _write(beside / name, read_regular(source / name, CHECKPOINT_LIMIT))


def _write(path: Path, content: bytes | memoryview) -> None:
    """Write and flush; plainly, since the libraries' own writers hide why a disk refuses."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def load_weights(folder: Path) -> dict[str, Tensor]:
    """The weights of a checkpoint, on the CPU. Raises `DataError` where there is none."""
    path = whole(folder) / WEIGHTS
    try:
        return tensors_from_bytes(read_regular(path, CHECKPOINT_LIMIT))
    except FileNotFoundError:
        run = folder.parent.parent
        raise DataError(
            f"no checkpoint at {folder}",
            f"the first epoch's end saves one; go on with: nsi train --resume {run}",
        ) from None
    except (SafetensorError, OSError, LookupError, ValueError) as error:
        raise DataError(f"checkpoint {path} cannot be read: {reason_of(error)}", _RETRAIN) from None


def load_state(folder: Path) -> tuple[dict[str, Any], Progressed]:
    """What else the training held, and how far it was. Raises `DataError`."""
    path = whole(folder) / STATE
    try:
        with open_regular(path, CHECKPOINT_LIMIT) as file:
            state = torch.load(file, map_location="cpu", weights_only=True)
        told = state.pop("progressed")
        return state, Progressed(**{**told, "plateau": Plateau(**told["plateau"])})
    except Exception as error:  # pickle, zip and torch errors alike mean a damaged file
        cause = reason_of(error) if isinstance(error, OSError) else str(error).split("\n")[0]
        raise DataError(f"checkpoint {path} cannot be read: {cause}", _RETRAIN) from None


def restore(model: nn.Module, weights: dict[str, Tensor], folder: Path) -> None:
    """Give a model the weights of the checkpoint ``folder``. Raises `DataError` for a misfit."""
    own = {name: value.shape for name, value in model.state_dict().items()}
    if own != {name: value.shape for name, value in weights.items()}:
        raise DataError(
            f"checkpoint {folder} is of a model with other sizes than its run's config.yaml says",
            "undo the change in config.yaml, or train anew",
        )
    model.load_state_dict(weights)


_RETRAIN = "restore the run from a copy, or train anew"
