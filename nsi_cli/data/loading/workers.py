"""Iteration over a loader that reports the errors of its worker processes."""

from __future__ import annotations

import re
import threading
from collections.abc import Generator, Iterable, Iterator
from multiprocessing import active_children
from multiprocessing.process import BaseProcess
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from nsi_cli.support.errors import DataError, NsiError

T = TypeVar("T")

SECONDS_BETWEEN_CHECKS = 1.0
SECONDS_TO_STOP = 10.0


def batches_of(loader: Iterable[T]) -> Generator[T, None, None]:
    """The batches of a loader, the toolkit's own or a plugin's.

    An error in a worker is raised with its own message; torch would raise its whole traceback as
    the message. Raises `DataError` if a worker was killed.
    """
    if getattr(loader, "num_workers", None) == 0:
        yield from loader
        return
    reader = _Reader(loader)
    reader.start()
    try:
        yield from reader
    finally:
        reader.stop()


class _Reader(threading.Thread, Generic[T]):
    """Reads one batch per request, in a thread.

    If a worker is killed while it sends a batch, torch waits forever for the rest, and nothing can
    interrupt it. The thread is then abandoned.
    """

    def __init__(self, loader: Iterable[T]) -> None:
        super().__init__(daemon=True)
        self._loader = loader
        self._requests: SimpleQueue[bool] = SimpleQueue()
        self._answers: SimpleQueue[tuple[T] | BaseException | None] = SimpleQueue()
        self._workers: set[BaseProcess] = set()

    def run(self) -> None:
        """Read until the end, an error, or `stop`."""
        try:
            before = set(active_children())
            batches = iter(self._loader)
            self._workers = set(active_children()) - before
            while self._requests.get():
                self._answers.put((next(batches),))
        except StopIteration:
            self._answers.put(None)
        except BaseException as error:
            self._answers.put(self._killed() or _original(error))

    def __iter__(self) -> Iterator[T]:
        """Yield the batches. Raises what the loader does, `DataError` for a killed worker."""
        while True:
            self._requests.put(True)
            answer = self._answer()
            if answer is None:
                return
            if isinstance(answer, BaseException):
                raise answer
            yield answer[0]

    def stop(self) -> None:
        """End the workers, and the thread unless it waits for a worker that was killed."""
        self._requests.put(False)
        if self._killed():
            for worker in self._workers:
                worker.kill()
        else:
            self.join(SECONDS_TO_STOP)

    def _answer(self) -> tuple[T] | BaseException | None:
        while True:
            try:
                return self._answers.get(timeout=SECONDS_BETWEEN_CHECKS)
            except Empty:
                killed = self._killed()
            if killed:
                return killed

    def _killed(self) -> DataError | None:
        """The error for a worker that was killed or exited with an error code; else None."""
        for worker in self._workers:
            if worker.exitcode:
                code = worker.exitcode
                how = f"was killed (signal {-code})" if code < 0 else f"ended with exit code {code}"
                return DataError(
                    f"a loader worker (process {worker.pid}) {how}",
                    "it may have run out of memory, or of shared memory (/dev/shm): use fewer "
                    "--num-workers or a smaller --batch-size",
                )
        return None


def _original(error: BaseException) -> BaseException:
    """The error that a worker raised, if ``error`` is torch's copy with the quoted traceback.

    The hint of an `NsiError` is the note that follows its message there.
    """
    name, text = type(error).__name__, str(error)
    if not text.startswith(f"Caught {name} in "):
        return error
    *_, quoted = re.split(rf"^(?:\w+\.)*{name}: ", text, flags=re.MULTILINE)
    message, *notes = (
        quoted.strip().split("\n") if isinstance(error, NsiError) else [quoted.strip()]
    )
    raised = type(error)(message)
    if isinstance(raised, NsiError):
        raised.hint = " ".join(notes)
    raised.__cause__ = error.with_traceback(None)  # its frames refer to the workers
    return raised
