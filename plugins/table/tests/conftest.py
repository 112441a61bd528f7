"""Raw folders of a few images and a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image


class RawTable:
    """A raw folder: images of 40 × 30 pixels, and a table that names them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)

    def image(self, name: str, size: tuple[int, int] = (40, 30)) -> Path:
        """Write an image that differs from all others."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shade = sum(name.encode()) % 256
        Image.new("RGB", size, (shade, 255 - shade, 128)).save(path)
        return path

    def mask(self, name: str, values: np.ndarray) -> Path:
        """Write a mask of 40 × 30 pixels."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values).save(path)
        return path

    def csv(
        self,
        header: Sequence[str],
        rows: Sequence[Sequence[Any]],
        *,
        name: str = "objects.csv",
        delimiter: str = ",",
        encoding: str = "utf-8",
    ) -> Path:
        """Write a table."""
        text = io.StringIO(newline="")
        writer = csv.writer(text, delimiter=delimiter)
        writer.writerow(header)
        writer.writerows(rows)
        path = self.root / name
        path.write_bytes(text.getvalue().encode(encoding))
        return path

    def column(self, title: str, cells: Sequence[Any], per_image: int = 4) -> None:
        """Write a table with a shape and one more column, and its images."""
        shapes = ["cube", "ball", "cone"]
        rows = []
        for index, cell in enumerate(cells):
            image = f"images/{index // per_image:03d}.png"
            rows.append((image, shapes[index % 3], cell))
            if index % per_image == 0:
                self.image(image)
        self.csv(("image", "shape", title), rows)


@pytest.fixture
def raw_table(tmp_path: Path) -> RawTable:
    """An empty `RawTable`."""
    return RawTable(tmp_path / "raw")


@pytest.fixture
def inferred(raw_table: RawTable) -> Callable[..., Any]:
    """Infers how the table is read, with the flags of the builder as keywords."""
    from nsi_table.builder import TableBuilder

    return lambda **flags: TableBuilder(raw_table.root, **flags)._inference
