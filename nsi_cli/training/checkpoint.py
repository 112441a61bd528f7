"""Checkpoints: weights as safetensors, the rest as a torch file that can hold no code.

At every moment a complete checkpoint is on disk, at its path or beside it; folders are written
beside it and renamed.
"""

from __future__ import annotations

import json
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

from nsi_cli.data.store.reader import Store
from nsi_cli.support.errors import ConfigError, DataError
from nsi_cli.support.files import disk_errors_explained
from nsi_cli.support.options import did_you_mean
from nsi_cli.support.reading import CHECKPOINT_LIMIT, open_regular, read_regular, reason_of
from nsi_cli.training.schedule import Plateau

WEIGHTS = "weights.safetensors"
STEP, STORE = "step", "store"
"""The keys of the number of steps and of the store's contents in the metadata of the weights."""

_METADATA = "training"
"""The key under which the metadata are one text: safetensors writes several in any order."""

BEST, LAST = "best", "last"


def has_checkpoint(folder: Path) -> bool:
    """Whether there is a checkpoint at ``folder``."""
    return (complete(folder) / WEIGHTS).is_file()


def complete(folder: Path) -> Path:
    """The folder of a checkpoint: its path, or beside it if a kill fell between the renames.

    Reading renames nothing, since the training that writes it may be running.
    """
    old = _hidden(folder, "old")
    return old if old.is_dir() and not folder.exists() else folder


def checkpoint_named(folder: Path, name: str) -> Path:
    """The checkpoint of that name in a run's folder of checkpoints.

    Raises `ConfigError` if there is none; best and last may not have been saved yet.
    """
    names = [BEST, LAST, *(path.name for path in sorted(folder.glob("step-*")))]
    if name not in names:
        existing = [each for each in names if has_checkpoint(folder / each)]
        raise ConfigError(
            f"no checkpoint '{name}' in {folder}",
            did_you_mean(name, existing) or f"there are: {', '.join(existing) or 'none yet'}",
        )
    return folder / name


@contextmanager
def replacing_checkpoint(folder: Path, *, retire: bool) -> Iterator[Path]:
    """A new folder that replaces ``folder`` if the body succeeds, and is removed if it fails.

    The old one is removed or, with ``retire``, renamed to its step.
    """
    temporary, old = _hidden(folder, "part"), _hidden(folder, "old")
    with disk_errors_explained(folder):
        if old.is_dir() and not folder.exists():  # a kill fell between the two renames below
            os.replace(old, folder)
        _retire(old, folder, retire)
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            temporary.mkdir(parents=True)
            yield temporary
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        if folder.exists():
            os.replace(folder, old)
        os.replace(temporary, folder)
        _retire(old, folder, retire)


def prune(folder: Path, keep: int) -> None:
    """Remove the ``step-…`` beside ``folder`` but for the ``keep`` − 1 that came before it."""
    now = step_of(folder)
    steps = {path: int(path.name.removeprefix("step-")) for path in folder.parent.glob("step-*")}
    before = sorted((path for path, step in steps.items() if step < now), key=steps.__getitem__)
    with disk_errors_explained(folder):
        for path in steps.keys() - before[max(0, len(before) - keep + 1) :]:
            _remove(path)
        for path in folder.parent.glob(".step-*.gone"):
            shutil.rmtree(path, ignore_errors=True)


def step_of(folder: Path) -> int:
    """The number of steps of a checkpoint; 0 if its weights are damaged."""
    return int(_metadata(folder).get(STEP, 0))


def store_warnings(folder: Path, store: Store) -> list[str]:
    """A warning if the store is not the one that a checkpoint was trained on."""
    trained_on = _metadata(complete(folder)).get(STORE)
    if trained_on in (None, store.contents):  # None: written by an earlier version
        return []
    return [
        f"warning: the store {store.path} is not the one that the run was trained on: its files "
        "differ, and scenes may be in other splits"
    ]


def _metadata(folder: Path) -> dict[str, Any]:
    try:
        with safe_open(folder / WEIGHTS, "pt") as file:
            found = file.metadata() or {}  # an earlier version wrote the step under its own key
        return {**found, **json.loads(found.get(_METADATA, "{}"))}
    except (SafetensorError, OSError, ValueError, TypeError):
        return {}


def _retire(old: Path, folder: Path, retire: bool) -> None:
    """Rename the checkpoint ``old``, which ``folder`` replaced, to its step, or remove it."""
    if retire and (old / WEIGHTS).is_file():
        kept = folder.with_name(f"step-{step_of(old):08d}")
        _remove(kept)
        os.replace(old, kept)
    shutil.rmtree(old, ignore_errors=True)


def _remove(folder: Path) -> None:
    """Remove a checkpoint; a kill leaves no partial one under its name."""
    if folder.exists():
        gone = _hidden(folder, "gone")
        shutil.rmtree(gone, ignore_errors=True)
        os.replace(folder, gone)
        shutil.rmtree(gone, ignore_errors=True)


def _hidden(folder: Path, kind: str) -> Path:
    return folder.with_name(f".{folder.name}.{kind}")


STATE = "state.pt"


@dataclass(frozen=True)
class TrainingState:
    """How far a training is: its steps, its epoch, and the batches done in that epoch.

    ``running`` sums the losses of the ``counted`` batches of the epoch that were not skipped, for
    the epoch's mean.
    """

    step: int = 0
    epoch: int = 0
    batches: int = 0
    running: float = 0.0
    counted: int = 0
    plateau: Plateau = field(default_factory=Plateau)

    def after(self, loss: float | None) -> TrainingState:
        """The state one batch later; ``loss`` is None if the batch was skipped."""
        more = replace(self, step=self.step + 1, batches=self.batches + 1)
        if loss is None:
            return more
        return replace(more, running=self.running + loss, counted=self.counted + 1)


def save_checkpoint(
    folder: Path,
    weights: dict[str, Tensor],
    state: dict[str, Any],
    reached: TrainingState,
    *,
    store: str,
    keep: int | None = None,
) -> None:
    """Write a checkpoint; until it is complete, the old one stays.

    ``state`` holds plain values and tensors by name. ``store`` identifies the store's contents.
    ``keep`` is the number of newest checkpoints to keep, this one included: earlier ones as
    ``step-00001200`` beside it; later ones, left by a training that was resumed from an earlier
    step, are removed. None keeps all. Raises `DataError` if the disk cannot be written; the old
    checkpoint then stays.
    """
    with replacing_checkpoint(folder, retire=bool(keep and keep > 1)) as temporary:
        tensors = {key: value.detach().cpu().contiguous() for key, value in weights.items()}
        metadata = json.dumps({STEP: reached.step, STORE: store})
        _write(temporary / WEIGHTS, tensors_as_bytes(tensors, metadata={_METADATA: metadata}))
        packed = BytesIO()
        torch.save({**state, "progressed": asdict(reached)}, packed)
        _write(temporary / STATE, packed.getbuffer())
    if keep:
        prune(folder, keep)


def make_last(folder: Path, chosen: Path) -> None:
    """Make the checkpoint ``chosen`` of a run its last one, which is at ``folder``.

    The previous last one is kept as ``step-…`` until the next one is saved. Raises `DataError` if
    ``chosen`` cannot be read; then nothing is changed.
    """
    if chosen == folder:
        return
    load_weights(chosen)
    load_state(chosen)
    source = complete(chosen)
    with replacing_checkpoint(folder, retire=True) as temporary:
        for name in (WEIGHTS, STATE):
            _write(temporary / name, read_regular(source / name, CHECKPOINT_LIMIT))


def _write(path: Path, content: bytes | memoryview) -> None:
    """Write and flush; the libraries' own writers hide why a disk cannot be written."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def load_weights(folder: Path) -> dict[str, Tensor]:
    """The weights of a checkpoint, on the CPU. Raises `DataError` if there is none."""
    path = complete(folder) / WEIGHTS
    try:
        return tensors_from_bytes(read_regular(path, CHECKPOINT_LIMIT))
    except FileNotFoundError:
        run = folder.parent.parent
        raise DataError(
            f"no checkpoint at {folder}",
            f"the end of the first epoch saves one; resume with: nsi train --resume {run}",
        ) from None
    except (SafetensorError, OSError, LookupError, ValueError) as error:
        raise DataError(f"checkpoint {path} cannot be read: {reason_of(error)}", _RETRAIN) from None


def load_state(folder: Path) -> tuple[dict[str, Any], TrainingState]:
    """The rest of a checkpoint: optimizer and precision, and how far the training was."""
    path = complete(folder) / STATE
    try:
        with open_regular(path, CHECKPOINT_LIMIT) as file:
            state = torch.load(file, map_location="cpu", weights_only=True)
        reached = state.pop("progressed")
        plateau = Plateau(**reached["plateau"])
        return state, TrainingState(**{**reached, "plateau": plateau})
    except Exception as error:  # pickle, zip and torch errors alike mean a damaged file
        cause = reason_of(error) if isinstance(error, OSError) else str(error).split("\n")[0]
        raise DataError(f"checkpoint {path} cannot be read: {cause}", _RETRAIN) from None


def restore(model: nn.Module, weights: dict[str, Tensor], folder: Path) -> None:
    """Load the weights of the checkpoint ``folder`` into a model.

    Raises `DataError` if their names or shapes differ from the model's.
    """
    expected = {name: value.shape for name, value in model.state_dict().items()}
    if expected != {name: value.shape for name, value in weights.items()}:
        raise DataError(
            f"checkpoint {folder} does not fit the model sizes in its run's config.yaml",
            "undo the change in config.yaml, or train a new run",
        )
    model.load_state_dict(weights)


_RETRAIN = "restore the run from a copy, or train a new run"
