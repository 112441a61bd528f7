"""What the tests of the command share."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines are not broken by a narrow terminal."""
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture
def one_line() -> Any:
    """Checks that an answer is one line and a hint on stderr, with an exit code, and no more."""

    def check(told: Any, code: int, *words: str) -> None:
        assert told.code == code, told
        assert told.stdout == "", told
        assert "Traceback" not in told.stderr, told
        lines = [line for line in told.stderr.splitlines() if not line.startswith(("build:",))]
        assert len(lines) == 2, told
        assert lines[0].startswith("nsi: "), told
        assert lines[1].startswith("     "), told
        assert lines[1].strip(), told
        for word in words:
            assert word in told.stderr, told

    return check
