"""The learning rate: a linear warm-up, and halvings where the validation loss stands still."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Plateau:
    """The best validation loss so far and the epochs since then, as an immutable value."""

    best: float = float("inf")
    stale: int = 0
    scale: float = 1.0

    def after(self, loss: float, *, patience: int, factor: float) -> Plateau:
        """The state after one more epoch.

        ``patience`` epochs in a row without a better loss multiply the scale by ``factor`` and
        restart the count; a NaN loss is not better.
        """
        if loss < self.best:
            return replace(self, best=loss, stale=0)
        if self.stale + 1 >= patience:
            return replace(self, stale=0, scale=self.scale * factor)
        return replace(self, stale=self.stale + 1)


def learning_rate(base: float, step: int, warmup_steps: int, plateau: Plateau) -> float:
    """The rate of a step, from 0: ``base`` · min(1, (step + 1) / warm-up) · plateau's scale."""
    warm = min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0
    return base * warm * plateau.scale
