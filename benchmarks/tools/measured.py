"""Measure the time and memory of a call, and the peak speed of matrix products."""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch

_STATM = Path("/proc/self/statm")
_PAGE = 4096
_LOOK_EVERY = 0.002  # seconds between samples of the process's memory

SIDES = {"cuda": ((8192, 8192, 8192),), "cpu": ((4096, 1024, 1024), (1536,) * 3)}
"""The sizes m, k, n of the matrix products from which `MatrixPeak` takes the best."""


def seconds_of(run: Callable[[], object], device: str) -> float:
    """Return the seconds that one call takes, including its work on the device."""
    wait(device)
    began = time.perf_counter()
    run()
    wait(device)
    return time.perf_counter() - began


def wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def peak_bytes(run: Callable[[], object], device: str) -> tuple[int, int]:
    """Return the peak memory during ``run``: in addition to the memory before it, and in total."""
    gc.collect()
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        torch.cuda.synchronize()
        peak = torch.cuda.max_memory_allocated()
        return peak - before, peak
    if sys.platform == "linux":  # first return freed memory to the system
        with suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)
    before = _resident()
    highest = [before]
    done = threading.Event()

    def look() -> None:
        while not done.wait(_LOOK_EVERY):
            highest[0] = max(highest[0], _resident())

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        run()
    finally:
        done.set()
        watcher.join()
    return highest[0] - before, highest[0]


def _resident() -> int:
    return int(_STATM.read_text().split()[1]) * _PAGE if _STATM.exists() else 0


class MatrixPeak:
    """The highest number of operations per second of a matrix product with one dtype.

    It is measured repeatedly between the steps, so both run under the same conditions; the best
    measurement counts.
    """

    def __init__(self, dtype: torch.dtype, device: str) -> None:
        self.dtype, self._device = dtype, device
        self._operands = [
            (torch.randn(m, k, dtype=dtype, device=device),
             torch.randn(n, k, dtype=dtype, device=device))
            for m, k, n in SIDES[device]
        ]  # fmt: skip
        self.best = 0.0

    def look(self) -> None:
        for left, right in self._operands:
            work = 2 * left.numel() * len(right)

            def product(left: torch.Tensor = left, right: torch.Tensor = right) -> object:
                return torch.nn.functional.linear(left, right)

            product()
            for _ in range(3):
                self.best = max(self.best, work / seconds_of(product, self._device))
