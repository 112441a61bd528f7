"""A loss or gradient that is not finite: its batch is saved for inspection."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor

from nsi_cli.support.files import replacing, write_json

MOST = 10
"""The most batches that a run saves."""


def save_nonfinite(
    run: Path,
    tensors: Mapping[str, Tensor | None],
    *,
    step: int,
    epoch: int,
    split: str,
    scenes: Sequence[str],
    measures: Mapping[str, float],
    what: str,
    rank: int = 0,
    most: int | None = None,
) -> Path | None:
    """Write a batch to ``RUN/nonfinite/step-N.safetensors``, and a report to ``step-N.json``.

    ``tensors`` are the batch's by name (``vars(batch)``), ``scenes`` the ids of its scenes,
    ``measures`` its metrics, and ``what`` was not finite. Processes other than the first add their
    ``rank`` to the names. Returns the path of the report, or None if the run has ``most`` already.
    Raises `DataError` if the disk cannot be written.
    """
    folder = run / "nonfinite"
    if most is not None and len(list(folder.glob("step-*.json"))) >= most:
        return None
    name = f"step-{step}" + (f"-rank-{rank}" if rank else "")
    whole = {key: value.detach().cpu().contiguous()
             for key, value in tensors.items() if value is not None}  # fmt: skip
    with replacing(folder / f"{name}.safetensors") as temporary:
        temporary.write_bytes(save(whole))
    report = folder / f"{name}.json"
    write_json(
        report,
        {
            "step": step,
            "epoch": epoch,
            "split": split,
            "not_finite": what,
            "measures": {key: _plain(value) for key, value in measures.items()},
            "tensors_not_finite": [
                key for key, value in whole.items() if not bool(value.isfinite().all())
            ],
            "scenes": list(scenes),
        },
    )
    return report


def _plain(value: float) -> Any:
    """The number, or its name if JSON cannot represent it."""
    return value if math.isfinite(value) else str(value)
