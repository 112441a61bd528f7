"""What progress says of the rate and the time left."""

from __future__ import annotations

import pytest
from rich.console import Console

from nsi_cli.cli import progress
from nsi_cli.cli.progress import BarProgress, LineProgress


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which a test sets."""
    time = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: time[0])
    return time


def test_the_time_left_follows_the_last_minute(
    now: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with LineProgress(Console(stderr=True)).stage("train", 10_000, "images") as advance:
        for _ in range(60):  # ten minutes at 10 a second
            now[0] += 10
            advance(100)
        for _ in range(7):  # then at one a second
            now[0] += 10
            advance(10)
    *_, last, end = capsys.readouterr().err.splitlines()
    assert last == "train: 6070/10000 images in 11 min, 1 images/s, 66 min left"
    assert end == "train: 6070/10000 images in 11 min, 9 images/s, 434 s left"


def test_the_bars_time_left_follows_the_last_minute(
    now: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    console = Console(stderr=True, width=100, get_time=lambda: now[0])
    with BarProgress(console).stage("train", 10_000, "images") as advance:
        for seconds, count in [(10, 100)] * 60 + [(10, 10)] * 7:
            now[0] += seconds
            advance(count)
    assert "1 images/s" in capsys.readouterr().err.splitlines()[-1]
