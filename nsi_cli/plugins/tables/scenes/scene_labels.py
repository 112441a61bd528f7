"""Reading the labels of whole scenes from a column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nsi_cli.plugins.tables.cells import is_missing, word, word_order
from nsi_cli.plugins.tables.table import Table
from nsi_cli.plugins.tables.table_schema import TableSchema
from nsi_cli.schema import Categorical
from nsi_cli.support.errors import DataError


def labels_of(
    table: Table, how: TableSchema, rows_by_image: Mapping[str, Sequence[int]]
) -> dict[str, str]:
    """Return the label of each image that has one, from the column that the schema file names.

    Raises `DataError` if the rows of an image have several values.
    """
    if not how.label:
        return {}
    labels, cells = {}, table.columns[how.label]
    for image, rows in rows_by_image.items():
        words = sorted(
            {word(cells[row]) for row in rows if not is_missing(cells[row], how.missing)}
        )
        if len(words) > 1:
            raise DataError(
                f"{table.name}: image {image} has several values of '{how.label}': "
                + " and ".join(words[:3]),
                "a scene label is the same in all rows of an image; choose another column",
            )
        if words:
            labels[image] = words[0]
    return labels


def label_of_scenes(
    table: Table, how: TableSchema, labels: Mapping[str, str]
) -> Categorical | None:
    """Return the name and the values of the scene label; None if the table is read without one.

    Raises `DataError` if no image has a label.
    """
    if not how.label:
        return None
    if not labels:
        raise DataError(
            f"{table.name}: the column '{how.label}' is empty",
            "choose another column as the scene label",
        )
    return Categorical(how.label, tuple(sorted(set(labels.values()), key=word_order)))
