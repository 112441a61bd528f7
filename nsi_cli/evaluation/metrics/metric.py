"""What every metric can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from nsi_cli.evaluation.predictions import Predictions
from nsi_cli.evaluation.records import Columns


class Metric(ABC):
    """A metric that is updated batch by batch and then computed."""

    @abstractmethod
    def update(self, predictions: Predictions) -> None:
        """Add a batch."""

    @abstractmethod
    def compute(self) -> dict[str, dict[str, Any]]:
        """Return the values by section of the result; metrics may share a section."""

    def scenes(self) -> Columns:
        """The values of each scene, in order of the updates; empty without any."""
        return {}

    def objects(self) -> Columns:
        """The values of each present primitive, in order; empty without any."""
        return {}
