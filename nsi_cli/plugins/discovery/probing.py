"""Probing: importing a plugin in a child process to find out whether the import is harmful.

A plugin can end the process, crash it, block it or close its files, and no ``except`` clause
helps against that. So each plugin that is neither built in nor known to be harmless is imported
once in a child process with a time limit, and the verdict is cached. A plugin that raises an
ordinary exception is harmless: `load_tasks` reports it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from nsi_cli.plugins.discovery.entry_points import BUILT_IN, PluginEntryPoint
from nsi_cli.plugins.discovery.probe_child import NO_REPORT
from nsi_cli.plugins.discovery.verdicts import Verdict, VerdictCache
from nsi_cli.support.errors import ConfigError, PluginError
from nsi_cli.support.processes import STOP_SIGNALS

LIMIT = "NSI_PROBE_TIMEOUT"
DEFAULT_LIMIT = 30.0
AT_ONCE = 4
"""The most child processes at a time; with more, slow imports could exceed the limit."""
SECONDS_BEFORE_NOTE = 5.0

Note = Callable[[str], None]


def refuse_harmful(
    plugins: Sequence[PluginEntryPoint], *, again: bool = False, note: Note = lambda text: None
) -> list[PluginEntryPoint]:
    """Set an error on each plugin whose import would end, crash, block or damage this process.

    With ``again``, cached verdicts are ignored. ``note`` is called with a message if probing takes
    more than a few seconds. Raises `ConfigError` for an invalid ``NSI_PROBE_TIMEOUT``.
    """
    unchecked = [plugin for plugin in plugins if plugin.rank != BUILT_IN and not plugin.error]
    if not unchecked:
        return list(plugins)
    limit = time_limit()
    cache = VerdictCache(unchecked)
    verdicts = {} if again else cache.read(limit)
    unknown = [plugin for plugin in unchecked if plugin not in verdicts]
    for start in range(0, len(unknown), AT_ONCE):
        for plugin, verdict in probe(unknown[start : start + AT_ONCE], limit, note).items():
            verdicts[plugin] = verdict
            cache.write(plugin, verdict)
    return [
        replace(plugin, error=_error(plugin, verdicts[plugin]))
        if plugin in verdicts and verdicts[plugin].harm
        else plugin
        for plugin in plugins
    ]


def time_limit() -> float:
    """Return how many seconds an import may take: ``NSI_PROBE_TIMEOUT``, or 30."""
    text = os.environ.get(LIMIT, "").strip() or str(DEFAULT_LIMIT)
    with contextlib.suppress(ValueError):
        seconds = float(text)
        if 0 < seconds <= 3600:
            return seconds
    raise ConfigError(
        f"{LIMIT} must be a number of seconds from 0 to 3600, not '{text}'",
        f"for example {LIMIT}=60; the default is {DEFAULT_LIMIT:g}",
    )


def probe(
    plugins: Sequence[PluginEntryPoint], limit: float, note: Note
) -> dict[PluginEntryPoint, Verdict]:
    """Import each plugin in a child process of its own, all at the same time.

    No verdict is returned if the system cannot start a child process or write its report:
    the plugin is then loaded without a probe. No child process is left afterwards, not even on
    Ctrl-C.
    """
    children: list[_Child] = []
    with contextlib.suppress(OSError), tempfile.TemporaryDirectory(prefix="nsi-") as folder:
        try:
            with _interrupts_delayed():
                for index, plugin in enumerate(plugins):
                    children.append(_Child(plugin, limit, Path(folder, str(index))))
            deadline = time.monotonic() + limit
            _wait(children, min(deadline, time.monotonic() + SECONDS_BEFORE_NOTE))
            slow = [child.plugin.entry.name for child in children if child.runs]
            if slow and time.monotonic() < deadline:
                note(f"checking new plugins: {', '.join(slow)} (at most {limit:g} s, only once)")
            _wait(children, deadline)
            verdicts = {child.plugin: child.verdict() for child in children}
            return {plugin: verdict for plugin, verdict in verdicts.items() if verdict}
        finally:
            with _interrupts_delayed():
                for child in children:
                    child.kill()
    return {}


class _Child:
    """A child process that imports a plugin and writes a report."""

    def __init__(self, plugin: PluginEntryPoint, limit: float, report: Path) -> None:
        self.plugin = plugin
        self._limit = limit
        self._report = report
        request = {
            "entry": [plugin.entry.name, plugin.entry.value, plugin.entry.group],
            "location": str(plugin.location or ""),
            "root": str(plugin.root or ""),
            "rank": plugin.rank,
            "report": str(report),
            "limit": limit,
            "path": sys.path,
        }
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM, json.dumps(request)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # a process group of its own, which is killed as a whole
        )

    @property
    def runs(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    def wait(self, seconds: float) -> None:
        """Wait until the process ends, or for ``seconds``."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, seconds))

    def verdict(self) -> Verdict | None:
        """Return the verdict, after the process ended or timed out; None without a report."""
        code = self._process.poll()
        if code is None:
            return Verdict(f"its import did not end within {self._limit:g} s", self._limit)
        if code < 0:
            return Verdict(f"its import crashed the process ({_signal_name(-code)})")
        if code == NO_REPORT:
            return None
        if code or not self._report.is_file():
            return Verdict(f"its import ended the process (exit code {code})")
        return Verdict(self._report.read_text(encoding="utf-8"))

    def kill(self) -> None:
        """Kill the process and those that it started."""
        with contextlib.suppress(OSError):  # all have ended
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


_PROGRAM = """
import json, sys
request = json.loads(sys.argv[1])
sys.path[:] = request["path"]
from nsi_cli.plugins.discovery.probe_child import main
main(request)
"""


def _wait(children: Sequence[_Child], deadline: float) -> None:
    for child in children:
        child.wait(deadline - time.monotonic())


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _error(plugin: PluginEntryPoint, verdict: Verdict) -> PluginError:
    more = f", allow it more time with {LIMIT}=SECONDS" if verdict.limit else ""
    return PluginError(
        verdict.harm,
        f"fix '{plugin.entry.value}' (nsi tasks --probe checks it again){more}, "
        f"or skip it with NSI_DISABLE={plugin.entry.name}",
    )


@contextlib.contextmanager
def _interrupts_delayed() -> Iterator[None]:
    """Delay Ctrl-C until the body ends, so that no child process is left running."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
