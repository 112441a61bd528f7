"""Checkpoints: weights as safetensors, the rest as a torch file that can hold no code."""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

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
    folder: Path, weights: dict[str, Tensor], optimizer: dict[str, Any], progressed: Progressed
) -> None:
    """Write a checkpoint. At every moment there is a whole one on disk, the old or the new.

    Raises `DataError` where the disk refuses; the old checkpoint then stays.
    """
    beside, old = _beside(folder, "part"), _beside(folder, "old")
    with told_when_disk_fails(folder):
        recover(folder)
        shutil.rmtree(beside, ignore_errors=True)
        try:
            beside.mkdir(parents=True)
            tensors = {key: value.detach().cpu().contiguous() for key, value in weights.items()}
            _write_tensors(tensors, beside / WEIGHTS)
            _write_state({"optimizer": optimizer, "progressed": asdict(progressed)}, beside / STATE)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise
        if folder.exists():
            os.replace(folder, old)
        os.replace(beside, folder)
        shutil.rmtree(old, ignore_errors=True)


def _write_tensors(tensors: dict[str, Tensor], path: Path) -> None:
    try:
        save_file(tensors, path)
    except SafetensorError as error:  # it hides the operating system's error
        raise OSError(str(error)) from error
    _flush(path)


def _write_state(state: dict[str, Any], path: Path) -> None:
    try:
        torch.save(state, path)
    except RuntimeError as error:  # likewise
        raise OSError(str(error)) from error
    _flush(path)


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def recover(folder: Path) -> None:
    """Put back the old checkpoint where a kill fell between the two renames of a save."""
    old = _beside(folder, "old")
    if old.is_dir() and not folder.exists():
        os.replace(old, folder)
    shutil.rmtree(old, ignore_errors=True)


def _beside(folder: Path, kind: str) -> Path:
    return folder.with_name(f".{folder.name}.{kind}")


def load_weights(folder: Path) -> dict[str, Tensor]:
    """The weights of a checkpoint, on the CPU. Raises `DataError` where there is none."""
    recover(folder)
    path = folder / WEIGHTS
    if not path.is_file():
        raise DataError(f"no checkpoint at {folder}", "train first, or name another run folder")
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise DataError(f"checkpoint {path} cannot be read: {error}", "use another one") from None


def load_state(folder: Path) -> tuple[dict[str, Any], Progressed]:
    """The optimizer's state and how far the run was. Raises `DataError`."""
    path = folder / STATE
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        told = state["progressed"]
        return state["optimizer"], Progressed(**{**told, "plateau": Plateau(**told["plateau"])})
    except FileNotFoundError:
        raise DataError(f"no checkpoint at {folder}", "start a new run") from None
    except Exception as error:  # pickle, zip and torch errors alike mean a damaged file
        raise DataError(f"checkpoint {path} cannot be read: {error}", "start a new run") from None
