"""What an error says is one line, wherever its words come from."""

from __future__ import annotations

import pytest

from nsi_cli.support.errors import LONGEST, one_line


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a scene:\n  is\tnot whole ", "a scene: is not whole"),
        ("\x1b[31mred\x00", r"\x1b[31mred\x00"),
        ("half \ud800 and \u202e", r"half \ud800 and \u202e"),
        ("größer als 7 × 7 🐒", "größer als 7 × 7 🐒"),
    ],
)
def test_it_can_be_printed_and_stored(text: str, told: str) -> None:
    assert one_line(text) == told
    one_line(text).encode()


def test_of_a_long_text_the_beginning_and_the_end_are_kept() -> None:
    told = one_line("begin" + "x" * 100_000 + "end")
    assert told.startswith("beginx")
    assert told.endswith("xend")
    assert len(told) < LONGEST
