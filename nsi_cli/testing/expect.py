"""Assertions about the contract: what to fix, and where it is."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nsi_cli.support.errors import NsiError, raising_line


class ContractError(AssertionError):
    """A part of a task that does not meet the contract.

    ``message`` says what to fix, ``where`` names the file, line and function; it is empty if they
    are unknown.
    """

    def __init__(self, message: str, where: str = "") -> None:
        super().__init__(f"{message}\n  in {where}" if where else message)
        self.message, self.where = message, where


def expect(holds: bool, message: str) -> None:
    """Raise `ContractError` with ``message`` unless the condition holds, also under -O."""
    if not holds:
        raise ContractError(message)


@contextmanager
def expected_to_work(action: str) -> Iterator[None]:
    """Turn an exception of the body into a `ContractError` that names the action."""
    try:
        yield
    except ContractError:
        raise
    except NsiError as error:
        hint = f" ({error.hint})" if error.hint else ""
        raise ContractError(f"{action} failed: {error.message}{hint}") from error
    except Exception as error:
        raise ContractError(f"{action} failed: {type(error).__name__}: {error}") from error


@contextmanager
def located(item: Any) -> Iterator[None]:
    """Add the source of ``item``, a class or a function, to a `ContractError` of the body."""
    try:
        yield
    except ContractError as error:
        if error.where:
            raise
        raise ContractError(error.message, _place(item, error.__cause__)) from error.__cause__


def _place(item: Any, cause: BaseException | None) -> str:
    """The file, line and name of an item, with the line that raised ``cause`` if it is there."""
    item = inspect.unwrap(item) if callable(item) else item
    name = getattr(item, "__qualname__", repr(item))
    try:
        path = Path(inspect.getsourcefile(item) or "")
        line = inspect.getsourcelines(item)[1]
    except (OSError, TypeError):
        return f"{getattr(item, '__module__', '?')}, {name}"
    raising = raising_line(cause, path.parent) if cause else None
    path, line = raising or (path, line)
    return f"{path}, line {line}, {name}"
