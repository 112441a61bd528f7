"""Means over evaluations with different draws of the initial slots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nsi_cli.evaluation.records import Columns


def mean_result(results: Sequence[Any]) -> Any:
    """The mean of results with the same layout, number by number; None where any of them is None.

    Each ``{"value", "ci95"}`` also gets ``slot_std``, the standard deviation (n − 1) of its values.
    Text is taken from the first result. Groups that are missing from any result are left out.
    """
    first = results[0]
    if any(result is None for result in results):
        return None
    if isinstance(first, dict):
        shared = [key for key in first if all(key in result for result in results)]
        mean = {key: mean_result([result[key] for result in results]) for key in shared}
        if isinstance(mean.get("value"), float):
            mean["slot_std"] = float(np.std([result["value"] for result in results], ddof=1))
        return mean
    if isinstance(first, list):
        return [mean_result(items) for items in zip(*results, strict=True)]
    if isinstance(first, str) or all(result == first for result in results):
        return first
    return float(np.mean(results))


def mean_columns(records: Sequence[Columns]) -> Columns:
    """The mean of each float column over records with the same rows; other columns of the first."""
    return {
        name: np.mean([columns[name] for columns in records], axis=0)
        if column.dtype.kind == "f"
        else column
        for name, column in records[0].items()
    }
