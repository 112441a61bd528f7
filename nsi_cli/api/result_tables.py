"""Results as tables of text, for a person to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nsi_cli.interpretation.search import Retrieved
    from nsi_cli.interpretation.slot_descriptions import ImageDescription


@dataclass(frozen=True)
class ResultTable:
    """An evaluation for a person: ``rows`` of text under ``columns``, and notes below."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str]


def result_table(result: Mapping[str, Any]) -> ResultTable:
    """The result of `evaluate` as a table."""
    from nsi_cli.evaluation import table

    values = dict(result)
    return ResultTable(table.COLUMNS, table.rows(values), table.notes(values))


def control_tables(result: Mapping[str, Any]) -> dict[str, ResultTable]:
    """The controls of `evaluate` as tables by their titles."""
    from nsi_cli.evaluation import table

    return {
        table.TITLES[name]: ResultTable(table.CONTROL_COLUMNS, table.control_rows(control), [])
        for name, control in result.get("controls", {}).items()
    }


def comparison_table(result: Mapping[str, Any]) -> ResultTable:
    """The result of `compare` as a table."""
    from nsi_cli.evaluation import compare as comparison

    notes = [
        "mean ± standard deviation over runs; differences from the first column, 95 % CI",
        *(f"{group['name']}: {', '.join(group['runs'])}" for group in result["groups"]),
    ]
    return ResultTable(comparison.columns(result), comparison.rows(result), notes)


def description_table(described: ImageDescription) -> ResultTable:
    """The slots of an image as a table."""
    return ResultTable(described.headings(), described.rows(), described.notes())


def answer_table(found: Retrieved) -> ResultTable:
    """The matches of a query as a table."""
    from nsi_cli.interpretation.search import COLUMNS
    from nsi_cli.support.progress import counted

    relevant, unknown = "relevant, on it: unknown, because numbers are never exactly equal", ""
    if found.relevant is not None:
        if any(match.on_it is None for match in found.matches):
            unknown = " (–: the store has no masks)"
        relevant = (
            f"relevant: whether the scene has an object with all given words; {found.relevant:,} "
            f"of {counted(found.scenes, 'scenes')} {'has' if found.scenes == 1 else 'have'} one"
        )
    notes = [
        relevant,
        "score: of the image, with its best slot; on it: whether that slot's mask peaks on such an "
        "object" + unknown,
        "slots are numbered from 1 here and in figures, from 0 in Python and in CSV",
    ]
    return ResultTable(COLUMNS, found.rows(), notes)
