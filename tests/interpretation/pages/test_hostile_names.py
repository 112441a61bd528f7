"""Names from the data are text on the page: they never become markup, and are never cut."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from nsi_cli.evaluation.suite import evaluate
from nsi_cli.interpretation.pages.analysis import Analysis
from nsi_cli.interpretation.pages.collect import collect
from nsi_cli.interpretation.pages.report import Heading, write_report
from nsi_cli.interpretation.slot_descriptions import Reader
from nsi_cli.schema import Categorical, Continuous, Schema

VALUES = (
    "</script><script>alert(1)</script>",
    "\"double\" 'single' & </style><img src=x onerror=alert(1)>",
    "🟣 שלום مرحبا " + "x" * 200,
)
NAME, NUMBER = "<script>shape</script>", "</title>height"
IDS = [f"<img src=x onerror=alert({number})>" for number in range(8)]


class Elements(HTMLParser):
    """The page's elements that could run code, and all of its text and attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts, self.handlers, self.text, self._script = 0, 0, [], False

    def handle_starttag(self, tag, attrs) -> None:
        self.scripts += tag == "script"
        self._script = tag == "script"
        self.handlers += sum(name.startswith("on") for name, _ in attrs)
        self.text += [value for _, value in attrs if value]

    def handle_endtag(self, tag) -> None:
        self._script = False

    def handle_data(self, data) -> None:
        if not self._script:
            self.text.append(data)


@pytest.mark.slow
def test_every_section_escapes_names_and_shows_them_whole(split, tmp_path) -> None:
    schema = Schema((Categorical(NAME, VALUES), Continuous(NUMBER, 1, 0.0, 9.0)), 2)

    def encode(primitives, present):
        return np.repeat(primitives[..., :1], 12, -1) / 3

    reader = replace(Reader.of(schema, encode, 1.0), reference=np.zeros(3, np.float32))
    analysis = Analysis.of(schema, schema, encode, reader)
    collected = collect([split.predictions], range(8), analysis.collectors)
    result = evaluate(
        [split.predictions], schema, task=NAME, split="test", encode_primitives=encode
    ).result
    path = write_report(
        tmp_path, collected, heading=Heading(NAME, NUMBER, "test", {"store": VALUES[0]}),
        schema=schema, ids=IDS, images=split.pictures, result=result, analysis=analysis,
        ranks=np.full(8, 2.0),
    )  # fmt: skip
    elements = Elements()
    elements.feed(path.read_text(encoding="utf-8"))
    assert (elements.scripts, elements.handlers) == (4, 0)  # two of data, two of the page's own
    text = "\n".join(elements.text)
    for name in (*VALUES, NAME, NUMBER, IDS[0]):
        assert name in text
