"""What one check of a store found."""

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

    def fault(self, told: str) -> None:
        """Something is wrong with the store."""
        self.fault_each([0], lambda _: told)

    def fault_each(self, places: Iterable[Any], told: Callable[[int], str]) -> None:
        """One fault for each of the places; ``told`` says of a place what is wrong there."""
        self.faults += _keep(self.examples, places, told)

    def warn_each(self, places: Iterable[Any], told: Callable[[int], str]) -> None:
        """Something is allowed at each of the places, but deserves a look."""
        self.warnings += _keep(self.warned, places, told)

    @property
    def status(self) -> str:
        """``faults``, ``warnings``, ``ok``, or ``left out`` where what it needs is missing."""
        if self.faults:
            return "faults"
        if not self.begun:
            return "left out"
        return "warnings" if self.warnings else "ok"

    def to_json(self) -> dict[str, Any]:
        """The result as plain JSON values."""
        told = {name: value for name, value in vars(self).items() if name != "begun"}
        return {**told, "status": self.status}


def _keep(examples: list[str], places: Iterable[Any], told: Callable[[int], str]) -> int:
    """Keep the first few as examples, and count them all."""
    all_places = [int(place) for place in places]
    examples += [told(place) for place in all_places[: SHOWN - len(examples)]]
    return len(all_places)
