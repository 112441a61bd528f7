"""What an exported run knows of its training data, in place of the store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nsi_cli.evaluation.predictions import Floats
from nsi_cli.schema import Schema
from nsi_cli.support.errors import DataError
from nsi_cli.support.files import read_json, write_json
from nsi_cli.training.run import EXPORTED

_HINT = "export the run again"


@dataclass(frozen=True)
class Known:
    """What grounding and descriptions need of the training data."""

    seen: Schema  # with the range of the train split as bounds
    reference: Floats  # (n,), the best scores of the slots of training objects, sorted
    build_options: dict[str, Any]


def write_known(folder: Path, known: Known) -> None:
    """Write it into an export."""
    write_json(
        folder / EXPORTED,
        {
            "range": known.seen.to_json(),
            "object_scores": known.reference.tolist(),
            "build_options": known.build_options,
        },
    )


def read_known(folder: Path) -> Known:
    """Read it from an export. Raises `DataError` if it is damaged."""
    values = read_json(folder / EXPORTED, "export", _HINT)
    try:
        reference = np.array(values["object_scores"], np.float32)
        options = dict(values["build_options"])
        return Known(Schema.from_json(values["range"]), np.sort(reference), options)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{folder / EXPORTED} is damaged: {error!r}", _HINT) from error
