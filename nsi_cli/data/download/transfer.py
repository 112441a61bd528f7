"""Transfers that are retried until they succeed or stall."""

from __future__ import annotations

import math
import random
import re
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.pool import ThreadPool
from typing import TypeVar

import httpx
import tenacity
from rich.filesize import decimal

from nsi_cli.support.errors import DataError, one_line

T = TypeVar("T")

MIN_SPEED = 1000
"""Bytes per second. A transfer that averages less over the timeout has stalled."""
_FIRST_WAIT, _LONGEST_WAIT = 1 / 600, 1 / 10
"""Waits between attempts, as fractions of the timeout: 0.5 s to 30 s for a timeout of 300 s."""
_MONITOR_EVERY = 0.1


class RetryableError(Exception):
    """A temporary failure; ``wait`` is the number of seconds that the server asks to wait."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


class StoppedError(Exception):
    """The transfer was stopped because another one failed or the user interrupted it."""


class StalledError(DataError):
    """A transfer failed because it was too slow; it can be resumed."""

    resumable = True

    def __init__(self, message: str) -> None:
        super().__init__(message, "downloaded data is kept: run the same command again to resume")


class Transfer:
    """The requests for one file, retried until they succeed, stall or are stopped.

    The transfer stalls if it receives fewer than `MIN_SPEED` bytes per second over ``timeout``
    seconds. That time includes failed attempts and the waits between them, so a server that drops
    every connection causes a stall, unless enough bytes arrive in each attempt.
    """

    def __init__(
        self, url: str, timeout: float, stop: threading.Event, note: Callable[[str], None]
    ) -> None:
        self._url, self._timeout, self._stop, self._note = url, timeout, stop, note
        self._window_start = math.inf  # start of the current time window
        self._window_bytes = self._attempt_bytes = 0  # bytes
        self._failures, self._reason = 0, ""

    def run(self, attempt: Callable[[], T]) -> T:
        """Call ``attempt`` until it succeeds, and return its result.

        Raises `DataError` if it cannot succeed, `StoppedError` if the transfer is stopped.
        """
        self._window_start = time.monotonic()
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(RetryableError),
            wait=self._wait,
            sleep=tenacity.sleep_using_event(self._stop),
            reraise=True,
        )
        try:
            result: T = retrying(self._try_once, attempt)
            return result
        finally:
            self._window_start = math.inf

    def received(self, count: int) -> None:
        """Count received bytes. Raises `StoppedError` if the transfer is stopped."""
        self.check_stopped()
        self._attempt_bytes += count
        self._window_bytes += count
        if self._window_bytes >= MIN_SPEED * self._timeout:
            self._window_start, self._window_bytes = time.monotonic(), 0

    def check_stopped(self) -> None:
        """Raise `StoppedError` if the transfer is stopped."""
        if self._stop.is_set():
            raise StoppedError

    def check_stalled(self) -> None:
        """Raise `StalledError` if the transfer has stalled. Any thread may call this."""
        if time.monotonic() - self._window_start > self._timeout:
            last = f"; last failure: {self._reason}" if self._reason else ""
            raise StalledError(
                f"{self._name} stalled: less than {decimal(int(MIN_SPEED * self._timeout))} in "
                f"{self._timeout:g} s{last}"
            )

    @property
    def _name(self) -> str:
        return without_password(self._url)

    def _try_once(self, attempt: Callable[[], T]) -> T:
        self.check_stopped()
        try:
            return attempt()
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.TooManyRedirects) as error:
            why = one_line(str(error))
            raise DataError(f"cannot download {self._name}: {why}", "check --mirror") from error
        except httpx.TransportError as error:
            raise RetryableError(_reason_of(error)) from error

    def _wait(self, state: tenacity.RetryCallState) -> float:
        """Return the seconds to wait after a failure: doubled each time, with random jitter.

        An attempt that received at least `MIN_SPEED` bytes resets the wait to the shortest.
        """
        error = state.outcome and state.outcome.exception()
        assert isinstance(error, RetryableError)
        self._reason = str(error)
        self._failures = 1 if self._attempt_bytes >= MIN_SPEED else self._failures + 1
        self._attempt_bytes = 0
        if error.wait > self._timeout:
            raise StalledError(
                f"{self._name}: {error} and asks to wait {error.wait:.0f} s, longer than --timeout "
                f"({self._timeout:g} s)"
            )
        doubled = self._timeout * min(_FIRST_WAIT * 2.0 ** (self._failures - 1), _LONGEST_WAIT)
        seconds = max(error.wait, doubled * random.uniform(0.5, 1.0))
        self._note(f"{self._url.rpartition('/')[2]}: {error}; retrying in {seconds:.1f} s")
        return seconds


def run_transfers(
    jobs: Sequence[tuple[str, Callable[[Transfer], T]]],
    *,
    timeout: float,
    connections: int,
    note: Callable[[str], None],
) -> list[T]:
    """Run each job, given as its URL and function, and return their results in order.

    At most ``connections`` jobs run at a time. The first error or stall stops all jobs and is
    raised. The pool's threads are daemons, so an interruption or a stall does not wait for a
    blocked socket.
    """
    stop = threading.Event()
    transfers = [Transfer(url, timeout, stop, note) for url, _ in jobs]
    with ThreadPool(connections) as pool:
        results = [
            pool.apply_async(job, (transfer,))
            for (_, job), transfer in zip(jobs, transfers, strict=True)
        ]
        try:
            while not all(result.ready() for result in results):
                next(result for result in results if not result.ready()).wait(_MONITOR_EVERY)
                for result, transfer in zip(results, transfers, strict=True):
                    if result.ready():
                        result.get()  # raises its error
                    transfer.check_stalled()
            return [result.get() for result in results]
        finally:
            stop.set()


def _reason_of(error: httpx.TransportError) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "the server does not respond"
    if isinstance(error, httpx.RemoteProtocolError | httpx.ReadError):
        return "the connection was dropped"
    return one_line(str(error)) or type(error).__name__


def without_password(url: object) -> str:
    """Return a URL without its user name and password."""
    return re.sub(r"(?<=//)[^/@]*@", "", str(url))
