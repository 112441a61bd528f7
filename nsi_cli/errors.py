"""What can go wrong that the user can mend: one line, and a hint at the remedy."""

from __future__ import annotations


class NsiError(Exception):
    """A fault told to the user as one line and a hint, without a traceback.

    ``exit_code`` is what the command exits with (1 failed, 2 usage or config, 3 plugin).
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigError(NsiError):
    """An option or a config file that cannot be used as it is."""

    exit_code = 2


class PluginError(NsiError):
    """A task that is unknown, broken or claimed twice."""

    exit_code = 3


class SchemaError(NsiError):
    """A schema, or a value that does not fit its schema."""


class DataError(NsiError):
    """Raw data, a store or a run on disk that cannot be read or written."""
