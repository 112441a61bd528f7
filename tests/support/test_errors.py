"""The message of an error is one printable line, whatever its source."""

from __future__ import annotations

import pickle

import pytest

from nsi_cli.support.errors import LONGEST, DataError, NsiError, interruptions_kept, one_line


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("a scene:\n  is\tnot whole ", "a scene: is not whole"),
        ("\x1b[31mred\x00", r"\x1b[31mred\x00"),
        ("half \ud800 and \u202e", r"half \ud800 and \u202e"),
        ("größer als 7 × 7 🐒", "größer als 7 × 7 🐒"),
    ],
)
def test_one_line_can_be_printed_and_stored(text: str, result: str) -> None:
    assert one_line(text) == result
    one_line(text).encode()


def test_a_long_text_keeps_its_beginning_and_end() -> None:
    result = one_line("begin" + "x" * 100_000 + "end")
    assert result.startswith("beginx")
    assert result.endswith("xend")
    assert len(result) < LONGEST


@pytest.mark.parametrize("kind", [NsiError, DataError])
def test_an_error_from_another_process_keeps_its_hint(kind: type[NsiError]) -> None:
    error = pickle.loads(pickle.dumps(kind("no image", "take another")))
    assert (type(error), error.message, error.hint) == (kind, "no image", "take another")


def test_an_interruption_inside_a_class_s_creation_stays_one() -> None:
    class Interrupts:
        def __set_name__(self, owner: type, name: str) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), interruptions_kept():
        type("Made", (), {"field": Interrupts()})


def test_other_errors_pass() -> None:
    with pytest.raises(ValueError, match="plain"), interruptions_kept():
        raise ValueError("plain") from KeyError()
