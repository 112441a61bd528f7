"""Failures of the contract, as assertions that say what to mend."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nsi_cli.support.errors import NsiError


def expect(holds: bool, otherwise: str) -> None:
    """Raise `AssertionError` with ``otherwise`` unless the condition holds, under -O too."""
    if not holds:
        raise AssertionError(otherwise)


@contextmanager
def expected_to_work(doing: str) -> Iterator[None]:
    """Turn what the body raises into an `AssertionError` that says what was being done."""
    try:
        yield
    except AssertionError:
        raise
    except NsiError as error:
        raise AssertionError(f"{doing} failed: {error.message} ({error.hint})") from error
    except Exception as error:
        raise AssertionError(f"{doing} failed: {type(error).__name__}: {error}") from error
