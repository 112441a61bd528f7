"""The registry of tasks: looks tasks up by name and describes plugins that failed to load."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from nsi_cli.plugins.contract import Task
from nsi_cli.plugins.discovery.entry_points import NameConflictError, PluginEntryPoint
from nsi_cli.support.errors import PluginError
from nsi_cli.support.options import did_you_mean

Status = Literal["ok", "conflict", "broken", "disabled"]
_ORDER: tuple[Status, ...] = ("ok", "conflict", "broken", "disabled")


class DisabledError(PluginError):
    """A task that the user disabled."""


@dataclass(frozen=True)
class TaskInfo:
    """One row of ``nsi tasks``: a task, or an entry point that failed to load."""

    name: str
    summary: str
    source: str
    version: str
    path: str
    status: Status
    reason: str


@dataclass(frozen=True)
class LoadResult:
    """A task of a plugin, or the plugin without a task, and the error that makes it unusable."""

    plugin: PluginEntryPoint
    task: Task | None = None
    error: PluginError | None = None

    @property
    def name(self) -> str:
        """The task's name, or the entry point's if no task was loaded."""
        return self.task.name if self.task else self.plugin.entry.name

    @property
    def status(self) -> Status:
        """The status that ``nsi tasks`` shows."""
        if isinstance(self.error, NameConflictError):
            return "conflict"
        if isinstance(self.error, DisabledError):
            return "disabled"
        return "broken" if self.error else "ok"

    @property
    def info(self) -> TaskInfo:
        """The row that ``nsi tasks`` shows."""
        return TaskInfo(
            name=_printable(self.name),
            summary=self.task.summary if self.task else "",
            source=_printable(self.plugin.source),
            version=_printable(self.plugin.version),
            path=_printable(str(self.plugin.location or "")),
            status=self.status,
            reason=_printable(self.error.message) if self.error else "",
        )

    @property
    def order(self) -> tuple[str, int, str]:
        """The key that sorts results by name, usable tasks first."""
        return self.name, _ORDER.index(self.status), self.plugin.description


def _printable(text: str) -> str:
    """Escape the bytes of file names that are not UTF-8, which cannot be printed."""
    return text.encode(errors="backslashreplace").decode()


@dataclass(frozen=True)
class TaskRegistry:
    """All tasks, and all plugins that failed to load."""

    results: Sequence[LoadResult] = field(repr=False)  # sorted by `LoadResult.order`

    @property
    def rows(self) -> list[TaskInfo]:
        """One row for each task and each plugin that failed, by name, usable tasks first."""
        return [result.info for result in self.results]

    def task(self, name: str) -> Task:
        """Return the task of that name. Raises `PluginError` if it is unknown or unusable."""
        for result in self.results:
            if result.name == name:
                return _task_of(result)
        names = [result.name for result in self.results if result.error is None]
        known = "known: " + ", ".join(names) if names else "no task is installed"
        suggestion = did_you_mean(name, names)
        more = "nsi --plugin-dir DIR adds a plugin that is not installed"
        raise PluginError(f"unknown task '{name}'", f"{suggestion} {known}; {more}".strip())


def _task_of(result: LoadResult) -> Task:
    if result.task and result.error is None:
        return result.task
    assert result.error is not None
    message = f"task '{result.name}' is {_ADJECTIVE[result.status]}: {result.error.message}"
    if result.status == "broken":
        message += f", in {result.plugin.description}"
    raise PluginError(message, result.error.hint) from result.error


_ADJECTIVE = {"conflict": "refused", "broken": "broken", "disabled": "disabled"}
