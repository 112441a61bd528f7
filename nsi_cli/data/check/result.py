"""The result of one check of a store."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

SHOWN = 5
"""The number of faults, and of warnings, whose text is kept; more are only counted."""


@dataclass
class CheckResult:
    """The number of faults and warnings of one check, and the text of the first few."""

    name: str
    about: str
    begun: bool = False
    looked_at: str = ""
    faults: int = 0
    warnings: int = 0
    examples: list[str] = field(default_factory=list)  # of faults
    warned: list[str] = field(default_factory=list)

    def fault(self, text: str) -> None:
        """Add a fault."""
        self.faults += 1
        if len(self.examples) < SHOWN:
            self.examples.append(text)

    def warn(self, text: str) -> None:
        """Add a warning."""
        self.warnings += 1
        if len(self.warned) < SHOWN:
            self.warned.append(text)

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
