"""Worker processes: they end with their parent, and do not import the script that the user runs."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import parent_process
from multiprocessing.context import SpawnContext, SpawnProcess
from types import ModuleType
from typing import Any

from nsi_cli.support.processes import STOP_SIGNALS


@contextmanager
def worker_pool(
    workers: int, start: Callable[..., None] | None = None, *arguments: Any
) -> Iterator[ProcessPoolExecutor]:
    """Yield a pool of ``workers`` processes; each first calls ``start(*arguments)``.

    They are spawned, because a forked child of a process with threads may hang. They do not import
    the script that the user runs, so it needs no ``if __name__ == "__main__"``. If the body fails,
    pending work is cancelled.
    """
    pool = ProcessPoolExecutor(workers, _Context(), _start, (start, arguments))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


class _Process(SpawnProcess):
    """A spawned process that does not import the parent's main module."""

    def start(self) -> None:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            super().start()
        finally:
            sys.modules["__main__"] = main


class _Context(SpawnContext):
    Process = _Process


def begin_worker() -> None:
    """Make this child process a worker that ends when its parent ends or is killed.

    A worker ignores Ctrl-C and SIGHUP, which reach every process of a terminal, because the
    parent may still need its workers to save its state.
    """
    for number in STOP_SIGNALS:
        if number != signal.SIGTERM:
            signal.signal(number, signal.SIG_IGN)
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _start(start: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    """Prepare a worker process of a pool."""
    begin_worker()
    if start is not None:
        start(*arguments)


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)
