"""The parts of `gpu_day.py`, which runs each in a process of its own, and can end it at any time.

    python benchmarks/gpu_parts.py PART [--device cpu] [--tiny] [--batch-size N]

Prints a JSON line for the machine, and one for each case, with its rows or the reason why it
failed. Everything else goes to stderr.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import traceback
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import torch
from gpu.gradients import EXACT, ROUNDED, check, save_gradient, two_processes
from gpu.sizes import BF16, Rows
from gpu.speed import cache_rate, decoder, step_times
from tools.measured import SIDES
from train_step import machine

PARTS: dict[str, dict[str, Callable[[argparse.Namespace], Rows]]] = {
    "correctness": {
        "float32": check(EXACT),
        "bf16-mixed": check(ROUNDED, precision=BF16),
        "accumulation": check(EXACT, micro_batch_size=3),
        "a sample of tokens": check(EXACT, everywhere={"decode_tokens": 8}),
    },
    "compilation": {"compiled": check(EXACT, compiled=True)},
    "processes": {"2 processes": two_processes},
    "step": {"cached features": step_times("on"), "no cache": step_times("off")},
    "memory": {
        "ours": decoder("ours"),
        "plain decoder": decoder("plain"),
        "torch.utils.checkpoint": decoder("checkpoint"),
    },
    "cache": {"filling": cache_rate},
}


def main() -> int:
    asked = arguments()
    if asked.tiny:
        SIDES[asked.device] = ((64, 64, 64),)
    if asked.rank is not None:
        save_gradient(asked)
        return 0
    print_line({"machine": machine(asked.device)})
    for case, measured in PARTS[asked.part].items():
        try:
            with redirect_stdout(sys.stderr):
                rows = measured(asked)
        except Exception as error:
            traceback.print_exc()
            print_line({"case": case, "failed": reason(error)})
        else:
            print_line({"case": case, "rows": rows})
        gc.collect()
        if asked.device == "cuda":
            torch.cuda.empty_cache()
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=tuple(PARTS))
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--rank", type=Path, metavar="FILE", help=argparse.SUPPRESS)
    return parser.parse_args()


def print_line(values: dict[str, Any]) -> None:
    print(json.dumps(values), flush=True)


def reason(error: Exception) -> str:
    """The error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]


if __name__ == "__main__":
    sys.exit(main())
