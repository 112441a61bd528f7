"""Interruptions: a signal lets the step finish, and the run is saved before the process ends."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType

from nsi_cli.support.errors import Interrupted as Interrupted

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """While entered, SIGINT and SIGTERM only set `asked`; a second one stops at once.

    Before `patient` is set there is nothing to save, and the first one stops at once.
    """

    def __init__(self) -> None:
        self.asked = self.patient = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.asked or not self.patient:
            raise KeyboardInterrupt
        self.asked = True
