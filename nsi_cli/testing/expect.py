"""Assertions about the contract, with messages that say what to fix."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nsi_cli.support.errors import NsiError


def expect(holds: bool, message: str) -> None:
    """Raise `AssertionError` with ``message`` unless the condition holds, also under -O."""
    if not holds:
        raise AssertionError(message)


@contextmanager
def expected_to_work(action: str) -> Iterator[None]:
    """Turn an exception of the body into an `AssertionError` that names the action."""
    try:
        yield
    except AssertionError:
        raise
    except NsiError as error:
        raise AssertionError(f"{action} failed: {error.message} ({error.hint})") from error
    except Exception as error:
        raise AssertionError(f"{action} failed: {type(error).__name__}: {error}") from error
