"""A figure that keeps the data behind it, and is saved with it."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from nsi_cli.evaluation.records import Columns, write_csv
from nsi_cli.support.errors import ConfigError
from nsi_cli.support.files import replacing

SUFFIXES = (".png", ".svg")

_STYLE: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "nsi"}
"""Text of an SVG stays text, and the same figure gives the same file."""


class DataFigure(Figure):
    """A matplotlib figure with its data; a notebook shows it."""

    def __init__(self, data: Columns, **options: Any) -> None:
        super().__init__(**options)
        self.data = data

    def savefig(self, *args: Any, **options: Any) -> None:
        """Write the figure as matplotlib does, but whole: titles may reach beyond the canvas."""
        super().savefig(*args, **{"bbox_inches": "tight", **options})

    def save(self, path: Path | str) -> Path:
        """Write the figure as PNG or SVG, and its data beside it, as CSV of the same name.

        Returns the path of the figure. Raises `ConfigError` for another suffix, and `DataError` if
        a file cannot be written.
        """
        path = Path(path)
        if path.suffix.lower() not in SUFFIXES:
            raise ConfigError(
                f"a figure cannot be saved as {path.name}",
                f"end the name in {' or '.join(SUFFIXES)}",
            )
        kind = path.suffix.lower().removeprefix(".")
        with replacing(path) as temporary:
            temporary.write_bytes(self._drawn(kind))
        write_csv(path.with_suffix(".csv"), self.data)
        return path

    def _repr_png_(self) -> bytes:
        """The figure as PNG, for notebooks."""
        return self._drawn("png")

    def _drawn(self, kind: str) -> bytes:
        file = io.BytesIO()
        undated = {"Date": None} if kind == "svg" else None
        with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing")  # an SVG shows it all the same
            self.savefig(file, format=kind, dpi=110, metadata=undated)
        return file.getvalue()
