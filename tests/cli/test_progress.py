"""What progress says of the rate and the time left."""

from __future__ import annotations

import pytest
from rich.console import Console

from nsi_cli.cli import progress
from nsi_cli.cli.progress import BarProgress, LineProgress
from nsi_cli.support.progress import counted


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
    *_, last = capsys.readouterr().err.splitlines()
    assert last == "train: 6070/10000 images in 11 min, 1.0 images/s, 66 min left"


def test_the_bars_time_left_follows_the_last_minute(
    now: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    console = Console(stderr=True, width=100, get_time=lambda: now[0])
    with BarProgress(console).stage("train", 10_000, "images") as advance:
        for seconds, count in [(10, 100)] * 60 + [(10, 10)] * 7:
            now[0] += seconds
            advance(count)
    assert "1.0 images/s" in capsys.readouterr().err.splitlines()[-1]


def test_the_end_of_a_stage_is_told_once(
    now: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with LineProgress(Console(stderr=True)).stage("render", 40) as advance:
        for seconds in (5, 6):  # the second line is due at the end
            now[0] += seconds
            advance(20)
        now[0] += 1
    with LineProgress(Console(stderr=True)).stage("build", 40) as advance:
        advance(40)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" in ")[0] for line in lines] == [
        "render: 40/40 scenes", "build: 40/40 scenes",
    ]  # fmt: skip


def test_a_slow_rate_is_seconds_an_item_and_one_item_is_singular(
    now: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with LineProgress(Console(stderr=True)).stage("search", 1) as advance:
        now[0] += 4
        advance(1)
    assert capsys.readouterr().err == "search: 1/1 scene in 4 s, 4.0 s/scene\n"
    assert (counted(1, "scenes"), counted(1200, "scenes")) == ("1 scene", "1,200 scenes")
