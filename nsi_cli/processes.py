"""Worker processes that never outlive the process that started them."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any


@contextmanager
def worker_pool(
    workers: int, start: Callable[..., None] | None = None, *arguments: Any
) -> Iterator[ProcessPoolExecutor]:
    """A pool of ``workers`` processes; each first calls ``start(*arguments)``.

    They are spawned, not forked: a forked child of a process with running threads may hang. What
    is not begun when the body fails is not begun any more.
    """
    pool = ProcessPoolExecutor(
        workers, get_context("spawn"), _start, (os.getpid(), start, arguments)
    )
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _start(parent: int, start: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    """Prepare a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted, and ends the workers
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    if start is not None:
        start(*arguments)


def _end_with(parent: int) -> None:
    """End this process once its parent is gone, even if that was killed and could tell nobody."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
