"""The sizes at which `gpu_day.py` checks and measures."""

from __future__ import annotations

import argparse
from typing import Any

from nsi_cli.training.config import TrainConfig

Rows = dict[str, dict[str, Any]]
"""Measured values by their names, for each row of a table; the row "" is named by its case."""

BF16 = "bf16-mixed"
TINY: dict[str, Any] = {
    "backbone": "vit_tiny_patch16_224", "num_slots": 4, "slot_dim": 16, "num_iterations": 2,
    "mlp_hidden_size": 16, "decoder_hidden_size": 32, "d_model": 16, "num_blocks": 1,
    "num_heads": 2, "embed_dim": 8, "max_program_len": 4,
}  # fmt: skip


def options(asked: argparse.Namespace, **changes: Any) -> TrainConfig:
    """The published options, or tiny sizes."""
    given = {"task": "clevrtex", "accelerator": asked.device, "batch_size": asked.batch_size}
    return TrainConfig(**{**given, **(TINY if asked.tiny else {}), **changes})
