"""The catalogue: a row for each task found and each plugin that failed, and the tasks by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from nsi_cli.errors import PluginError
from nsi_cli.options import did_you_mean
from nsi_cli.plugins.candidates import Candidate, TakenError
from nsi_cli.plugins.contract import Task

Status = Literal["ok", "conflict", "broken", "disabled"]
_ORDER: tuple[Status, ...] = ("ok", "conflict", "broken", "disabled")


@dataclass(frozen=True)
class Found:
    """One row of ``nsi tasks``: a task, or an entry point that did not come to one."""

    name: str
    summary: str
    source: str
    version: str
    path: str
    status: Status
    reason: str


class DisabledError(PluginError):
    """A task that the user turned off."""


@dataclass(frozen=True)
class Outcome:
    """What came of a candidate: a task of its, or the fault that keeps it from bringing one."""

    candidate: Candidate
    task: Task | None = None
    fault: PluginError | None = None

    @property
    def name(self) -> str:
        """The task's name; the entry point's, where it did not come to a task."""
        return self.task.name if self.task else self.candidate.entry.name

    @property
    def status(self) -> Status:
        """What the fault comes to."""
        if isinstance(self.fault, TakenError):
            return "conflict"
        if isinstance(self.fault, DisabledError):
            return "disabled"
        return "broken" if self.fault else "ok"

    @property
    def row(self) -> Found:
        """The outcome as ``nsi tasks`` shows it."""
        return Found(
            name=self.name,
            summary=" ".join(str(self.task.summary).split()) if self.task else "",
            source=self.candidate.source,
            version=self.candidate.version,
            path=str(self.candidate.location or ""),
            status=self.status,
            reason=self.fault.message if self.fault else "",
        )

    @property
    def order(self) -> tuple[str, int, str]:
        """Sorts outcomes by name, those that work first."""
        return self.name, _ORDER.index(self.status), self.candidate.told


@dataclass(frozen=True)
class Catalogue:
    """Every task found, and every plugin that failed."""

    outcomes: Sequence[Outcome] = field(repr=False)

    @property
    def rows(self) -> list[Found]:
        """A row for each task and each plugin that failed, by name, those that work first."""
        return [outcome.row for outcome in self.outcomes]

    def task(self, name: str) -> Task:
        """The task of that name. Raises `PluginError`, with cause and remedy, if there is none."""
        for outcome in self.outcomes:  # those that work come first
            if outcome.name == name:
                return _task_of(outcome)
        names = [outcome.name for outcome in self.outcomes if outcome.fault is None]
        known = "known: " + ", ".join(names) if names else "no task is installed"
        near = did_you_mean(name, names)
        more = "a plugin that is not installed is found with nsi --plugin-dir DIR"
        raise PluginError(f"unknown task '{name}'", f"{near} {known}; {more}".strip())


def _task_of(outcome: Outcome) -> Task:
    if outcome.task and outcome.fault is None:
        return outcome.task
    assert outcome.fault is not None
    told = f"task '{outcome.name}' is {_SAID[outcome.status]}: {outcome.fault.message}"
    if outcome.status == "broken":
        told += f", in {outcome.candidate.told}"
    raise PluginError(told, outcome.fault.hint) from outcome.fault


_SAID = {"conflict": "refused", "broken": "broken", "disabled": "disabled"}
