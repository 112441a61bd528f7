"""Checkpoints: weights as safetensors, the rest as a torch file that can hold no code."""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict, dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as tensors_as_bytes
from torch import Tensor, nn

from nsi_cli.errors import DataError
from nsi_cli.files import told_when_disk_fails
from nsi_cli.training.schedule import Plateau

WEIGHTS = "weights.safetensors"
STATE = "state.pt"


@dataclass(frozen=True)
class Progressed:
    """How far a run is: steps done in all, the epoch it is in, and batches done of that epoch.

    ``running`` sums the losses of the epoch's batches so far, for the epoch's mean.
    """

    step: int = 0
    epoch: int = 0
    batches: int = 0
    running: float = 0.0
    plateau: Plateau = field(default_factory=Plateau)


def save_checkpoint(
    folder: Path, weights: dict[str, Tensor], state: dict[str, Any], progressed: Progressed
) -> None:
    """Write a checkpoint. At every moment there is a whole one on disk, the old or the new.

    ``state`` is what else the training holds: plain values and tensors, by name. Raises
    `DataError` where the disk refuses; the old checkpoint then stays.
    """
    beside, old = _beside(folder, "part"), _beside(folder, "old")
    with told_when_disk_fails(folder):
        _recover(folder)
        shutil.rmtree(beside, ignore_errors=True)
        try:
            beside.mkdir(parents=True)
            tensors = {key: value.detach().cpu().contiguous() for key, value in weights.items()}
            _write(beside / WEIGHTS, tensors_as_bytes(tensors))
            packed = BytesIO()
            torch.save({**state, "progressed": asdict(progressed)}, packed)
            _write(beside / STATE, packed.getbuffer())
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise
        if folder.exists():
            os.replace(folder, old)
        os.replace(beside, folder)
        shutil.rmtree(old, ignore_errors=True)


def _write(path: Path, content: bytes | memoryview) -> None:
    """Write and flush; plainly, since the libraries' own writers hide why a disk refuses."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _recover(folder: Path) -> None:
    """Put back the old checkpoint where a kill fell between the two renames of a save."""
    old = _beside(folder, "old")
    if old.is_dir() and not folder.exists():
        os.replace(old, folder)
    shutil.rmtree(old, ignore_errors=True)


def _beside(folder: Path, kind: str) -> Path:
    return folder.with_name(f".{folder.name}.{kind}")


def _whole(folder: Path) -> Path:
    """Where the checkpoint lies: in its place, or aside where a kill fell between the renames.

    Reading moves nothing, since the training that writes it may be running.
    """
    old = _beside(folder, "old")
    return old if old.is_dir() and not folder.exists() else folder


def has_checkpoint(folder: Path) -> bool:
    """Whether there is a checkpoint at ``folder``."""
    return (_whole(folder) / WEIGHTS).is_file()


def load_weights(folder: Path) -> dict[str, Tensor]:
    """The weights of a checkpoint, on the CPU. Raises `DataError` where there is none."""
    path = _whole(folder) / WEIGHTS
    try:
        return load_file(path)
    except FileNotFoundError:
        run = folder.parent.parent
        raise DataError(
            f"no checkpoint at {folder}",
            f"the first epoch's end saves one; go on with: nsi train --resume {run}",
        ) from None
    except (SafetensorError, OSError) as error:
        raise DataError(f"checkpoint {path} cannot be read: {error}", _RETRAIN) from None


def load_state(folder: Path) -> tuple[dict[str, Any], Progressed]:
    """What else the training held, and how far it was. Raises `DataError`."""
    path = _whole(folder) / STATE
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        told = state.pop("progressed")
        return state, Progressed(**{**told, "plateau": Plateau(**told["plateau"])})
    except Exception as error:  # pickle, zip and torch errors alike mean a damaged file
        cause = str(error).split("\n")[0]
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
