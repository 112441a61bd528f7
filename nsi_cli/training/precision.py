"""The precision that Fabric trains in, without what it does to the batch on the way."""

from __future__ import annotations

from typing import Any

import torch
from lightning_fabric.plugins import MixedPrecision, Precision


class UnroundedMixed(MixedPrecision):
    """Mixed precision that hands the batch to the model as it is.

    Fabric's own rounds every number of it to half precision first; but an id above 256 is no
    bfloat16 number, and features are what the reconstruction is measured by.
    """

    def convert_input(self, data: Any) -> Any:
        """What goes into the model, untouched."""
        return data


def precision_plugin(precision: str, accelerator: str) -> Precision:
    """What makes Fabric compute in ``precision`` on an ``accelerator`` (auto: a GPU, if any).

    For 64 the model itself is made so (see `prepare`): Fabric's own would round what comes out
    of it to float32.
    """
    if precision in ("32", "64"):
        return Precision()
    device = accelerator
    if accelerator == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return UnroundedMixed("16-mixed" if precision == "16-mixed" else "bf16-mixed", device)
