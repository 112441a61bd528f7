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

    def check(result: Any, code: int, *words: str) -> None:
        assert result.code == code, result
        assert result.stdout == "", result
        assert "Traceback" not in result.stderr, result
        lines = [line for line in result.stderr.splitlines() if not line.startswith(("build:",))]
        assert len(lines) == 2, result
        assert lines[0].startswith("nsi: "), result
        assert lines[1].startswith("     "), result
        assert lines[1].strip(), result
        for word in words:
            assert word in result.stderr, result

    return check
