"""Interruptions: after a signal the current step ends and the run is saved before the exit."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from nsi_cli.support.processes import handle_stop_signals


class Interruption:
    """While entered, SIGINT, SIGTERM and SIGHUP only set `requested`; a second one stops at once.

    Until `graceful` is set there is nothing to save, and the first one stops at once.
    """

    def __init__(self) -> None:
        self.requested = self.graceful = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            self._before = handle_stop_signals(self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested or not self.graceful:
            raise KeyboardInterrupt
        self.requested = True
