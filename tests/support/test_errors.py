"""What an error says is one line, wherever its words come from."""

from __future__ import annotations

import pickle

import pytest

from nsi_cli.support.errors import LONGEST, DataError, NsiError, one_line


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("a scene:\n  is\tnot whole ", "a scene: is not whole"),
        ("\x1b[31mred\x00", r"\x1b[31mred\x00"),
        ("half \ud800 and \u202e", r"half \ud800 and \u202e"),
        ("größer als 7 × 7 🐒", "größer als 7 × 7 🐒"),
    ],
)
def test_it_can_be_printed_and_stored(text: str, result: str) -> None:
    assert one_line(text) == result
    one_line(text).encode()


def test_of_a_long_text_the_beginning_and_the_end_are_kept() -> None:
    result = one_line("begin" + "x" * 100_000 + "end")
    assert result.startswith("beginx")
    assert result.endswith("xend")
    assert len(result) < LONGEST


@pytest.mark.parametrize("kind", [NsiError, DataError])
def test_an_error_from_another_process_keeps_its_hint(kind: type[NsiError]) -> None:
    error = pickle.loads(pickle.dumps(kind("no image", "take another")))
    assert (type(error), error.message, error.hint) == (kind, "no image", "take another")
