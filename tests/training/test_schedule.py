"""The learning rate rises, and halves where the validation loss stands still."""

from __future__ import annotations

import math

import pytest

from nsi_cli.training.schedule import Plateau, learning_rate


@pytest.mark.parametrize(
    ("step", "rate"), [(0, 0.1), (1, 0.2), (4, 0.5), (9, 1.0), (10, 1.0), (999, 1.0)]
)
def test_the_rate_rises_in_even_steps_to_its_full_value(step: int, rate: float) -> None:
    assert learning_rate(1.0, step, 10, Plateau()) == pytest.approx(rate)


def test_without_warm_up_the_rate_is_full_from_the_start() -> None:
    assert learning_rate(4e-4, 0, 0, Plateau()) == 4e-4


def test_a_plateau_scales_the_rate_during_warm_up_too() -> None:
    assert learning_rate(1.0, 4, 10, Plateau(scale=0.25)) == pytest.approx(0.125)


def scales(losses: list[float], patience: int) -> list[float]:
    plateau, result = Plateau(), []
    for loss in losses:
        plateau = plateau.after(loss, patience=patience, factor=0.5)
        result.append(plateau.scale)
    return result


def test_the_rate_halves_after_patience_epochs_without_a_better_loss() -> None:
    assert scales([3, 2, 2, 2, 2, 2], patience=4) == [1, 1, 1, 1, 1, 0.5]


def test_the_count_begins_anew_after_a_halving_and_after_a_better_loss() -> None:
    assert scales([2, 3, 3, 1, 3, 3, 3, 3, 3, 3], patience=3) == [1] * 6 + [0.5] * 3 + [0.25]


def test_a_loss_that_is_no_number_is_not_better() -> None:
    assert scales([math.nan, math.nan, 1.0], patience=2) == [1, 0.5, 0.5]
    assert Plateau().after(math.nan, patience=2, factor=0.5).best == math.inf
