"""The scenes of a split with the highest scores, kept while the split is read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from nsi_cli.evaluation.predictions import Floats, Predictions


@dataclass
class BestScenes:
    """The ``top`` scenes of the highest scores; in a tie, earlier scenes come first."""

    top: int
    found: list[tuple[float, Predictions]] = field(default_factory=list)
    """The score of each scene, and the predictions for it alone, best first."""

    def add(self, scores: Floats, batch: Predictions) -> None:
        """Add the scenes of a batch with their scores (B,)."""
        batch.check_finite()
        small = replace(batch, tokens=None, slots=None, true_masks=None)
        rows = np.argsort(-scores, kind="stable")[: self.top].tolist()
        found = [*self.found, *((float(scores[row]), small.take([row])) for row in rows)]
        found.sort(key=lambda one: (-one[0], int(one[1].index[0])))
        self.found = found[: self.top]
