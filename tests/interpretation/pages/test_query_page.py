from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from nsi_cli import api
from nsi_cli.interpretation.pages.query_page import write_query_page
from nsi_cli.interpretation.pages.report import Heading


def test_a_page_has_every_match_with_its_photo_and_mask(trained: Path, tmp_path: Path) -> None:
    answers = api.ask(trained, ["small", "sphere large"], split="train", top=3, out=tmp_path)
    assert answers.page == tmp_path / "queries.html"
    page = answers.page.read_text(encoding="utf-8")
    for found in answers.found:
        assert len(found.matches) == 3
        assert found.query in page
        for name, match in zip(found.ids, found.matches, strict=True):
            assert name in page
            assert f"{match.score:.2f}" in page
    assert page.count("--photo:url(data:image/webp") == 6
    assert page.count("--lit:url(data:image/png") == 6
    assert not re.search(r"https?://", page.replace("http://www.w3.org", ""))


def test_python_and_the_page_give_the_same_matches(trained: Path, tmp_path: Path) -> None:
    (asked,) = api.ask(trained, ["small"], top=4, out=tmp_path).found
    found = api.load_run(trained).retrieve("small", top=4)
    assert found.to_dict() == asked.to_dict()
    np.testing.assert_array_equal(found.images, asked.images)
    store = api.load_run(trained).store
    assert found.ids == tuple(store.ids("test")[match.index] for match in found.matches)
    np.testing.assert_array_equal(
        found.images, store.images("test", [match.index for match in found.matches])
    )


def test_names_are_escaped(trained: Path, tmp_path: Path) -> None:
    found = api.load_run(trained).retrieve("small", top=1)
    evil = replace(found, query="<script>alert(1)</script>", ids=('"><img src=x>',))
    page = write_query_page(tmp_path / "page.html", [evil], Heading("toy", "<b>", "test"))
    text = page.read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    assert "&lt;script&gt;alert(1)" in text
