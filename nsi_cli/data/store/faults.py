"""The result of one check of a store."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

SHOWN = 5
"""Faults of which an example is kept; the others are only counted."""


@dataclass
class CheckResult:
    """The faults and warnings of one check, counted, with the first few of each."""

    name: str
    about: str
    begun: bool = False
    looked_at: str = ""
    faults: int = 0
    warnings: int = 0
    examples: list[str] = field(default_factory=list)
    warned: list[str] = field(default_factory=list)

    def fault(self, text: str) -> None:
        """Add a fault."""
        self.fault_each([0], lambda _: text)

    def fault_each(self, index: Iterable[Any], describe: Callable[[int], str]) -> None:
        """Add a fault for each index; ``describe`` returns its text."""
        self.faults += _keep(self.examples, index, describe)

    def warn_each(self, index: Iterable[Any], describe: Callable[[int], str]) -> None:
        """Add a warning for each index."""
        self.warnings += _keep(self.warned, index, describe)

    @property
    def status(self) -> str:
        """``faults``, ``warnings``, ``ok``, or ``left out`` if what it needs is missing."""
        if self.faults:
            return "faults"
        if not self.begun:
            return "left out"
        return "warnings" if self.warnings else "ok"

    def to_json(self) -> dict[str, Any]:
        """The result as plain JSON values."""
        values = {name: value for name, value in vars(self).items() if name != "begun"}
        return {**values, "status": self.status}


def _keep(examples: list[str], index: Iterable[Any], describe: Callable[[int], str]) -> int:
    """Keep the first few as examples, and count them all."""
    indices = [int(number) for number in index]
    examples += [describe(number) for number in indices[: SHOWN - len(examples)]]
    return len(indices)
