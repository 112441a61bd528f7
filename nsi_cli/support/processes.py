"""Processes: the signals that stop a command, and the first of several processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

STOP_SIGNALS = tuple(
    signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""The signals that ask a command to stop: Ctrl-C, ``kill``, and a terminal that is closed."""


def handle_stop_signals(handler: Callable[[int, FrameType | None], Any]) -> dict[int, Any]:
    """Set the handler of `STOP_SIGNALS`, and return the previous handlers.

    A signal that is ignored stays ignored: SIGHUP under nohup, SIGINT in a script's background job.
    """
    before: dict[int, Any] = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    before = {number: old for number, old in before.items() if old is not signal.SIG_IGN}
    for number in before:
        signal.signal(number, handler)
    return before


def is_first_process() -> bool:
    """Whether this is the first of the processes that torchrun, SLURM or Fabric started.

    It reads their environment variables, because it is called before the processes connect.
    """
    for name in ("RANK", "SLURM_PROCID"):
        if name in os.environ:
            return os.environ[name] == "0"
    return all(os.environ.get(name, "0") == "0" for name in ("NODE_RANK", "LOCAL_RANK"))
