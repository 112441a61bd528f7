"""Interruptions: a signal lets the step finish, and the run is saved before the process ends."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from nsi_cli.support.errors import Interrupted as Interrupted
from nsi_cli.support.processes import handle_stop_signals


class Interruption:
    """While entered, SIGINT, SIGTERM and SIGHUP only set `asked`; a second one stops at once.

    Before `patient` is set there is nothing to save, and the first one stops at once.
    """

    def __init__(self) -> None:
        self.asked = self.patient = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            self._before = handle_stop_signals(self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.asked or not self.patient:
            raise KeyboardInterrupt
        self.asked = True
