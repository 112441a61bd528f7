"""Errors that the user can correct, with a one-line message and a hint."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LONGEST = 300


def one_line(text: str) -> str:
    """Return a text of unknown origin as one printable line of limited length.

    Whitespace is collapsed. Unprintable characters (control characters, lone surrogates) are
    escaped. The middle of a very long text is omitted.
    """
    joined = " ".join(text.split())
    safe = "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in joined
    )
    if len(safe) <= LONGEST:
        return safe
    return f"{safe[: LONGEST - 60]} … {safe[-50:]}"


def text_of(value: object) -> str:
    """Return ``str(value)`` on one line, or a substitute if ``str`` fails."""
    try:
        return one_line(str(value))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return f"(no text: {type(error).__name__})"


def unexpected(error: Exception, module: str) -> str:
    """Return an exception of a plugin's code: its type, its text, and the line that raised it.

    That is the last line in the folder of ``module``, the name of one of the plugin's modules. It
    is left out if there is none.
    """
    file = getattr(sys.modules.get(module), "__file__", None)
    line = raising_line(error, Path(file).parent) if file else None
    place = f" ({line[0].name}, line {line[1]})" if line else ""
    return one_line(f"{type(error).__name__}: {error}{place}")


def raising_line(error: BaseException, folder: Path) -> tuple[Path, int] | None:
    """Return the file and number of the last line in a folder that an exception passed."""
    frames = [
        (Path(frame.f_code.co_filename), number)
        for frame, number in traceback.walk_tb(error.__traceback__)
    ]
    inside = [place for place in frames if place[0].is_relative_to(folder)]
    return inside[-1] if inside else None


@contextmanager
def interruptions_kept() -> Iterator[None]:
    """Raise `KeyboardInterrupt` again if the error inside was caused by one.

    Python before 3.12 turns every error in ``__set_name__`` into a RuntimeError, and an
    interruption can arrive there while a module is imported.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error.__cause__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise


class NsiError(Exception):
    """An error that is shown to the user as one line and a hint, without a traceback.

    ``exit_code`` is the exit code of the command (1 failed, 2 usage or config, 3 plugin,
    130 interrupted).
    """

    exit_code = 1
    resumable = False
    """Whether running the same command again resumes its work."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if hint:  # so that tracebacks contain the hint
            self.add_note(hint)


class ConfigError(NsiError):
    """An option or a config file that is not valid."""

    exit_code = 2


class PluginError(NsiError):
    """A task that is unknown or broken, or that several plugins provide."""

    exit_code = 3


class Interrupted(NsiError):
    """The user or the system stopped the command; its state is saved.

    ``run`` is the run folder of a training that can be resumed.
    """

    exit_code = 130
    run: Path | None = None


class SchemaError(NsiError):
    """A schema, or a value that does not fit its schema."""


class DataError(NsiError):
    """Raw data, a store or a run on disk that cannot be read or written."""
