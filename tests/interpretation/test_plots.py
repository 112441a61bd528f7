"""Figures: pictures with slots, and figures saved with the data behind them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nsi_cli.evaluation.records import read_csv
from nsi_cli.interpretation.colours import slot_colour
from nsi_cli.interpretation.plots import LONGEST, Picture, painted, picture_grid, shown, spotlight
from nsi_cli.support.errors import ConfigError

DATA = {"name": np.array(["a,b", '<script>"'], dtype=object), "score": np.array([0.25, np.nan])}


def figure(caption: str = "one", title: str = ""):
    picture = Picture(np.zeros((8, 8, 3), np.uint8), caption, [(0, 2, 2)])
    return picture_grid([[picture]], DATA, title)


def test_a_spotlight_keeps_the_masked_part_and_dims_the_rest() -> None:
    image = np.full((8, 8, 3), 200, np.uint8)
    mask = np.zeros((4, 4), np.float32)
    mask[:2] = 0.01
    lit = spotlight(image, mask)
    assert (lit[:3] == 200).all()
    assert (lit[-3:] == 50).all()
    assert (spotlight(image, np.zeros((4, 4), np.float32)) == 50).all()


def test_segments_are_painted_and_numbered_where_they_have_a_pixel() -> None:
    masks = np.zeros((3, 4, 4), np.float32)
    masks[0, :, :2], masks[2, :, 2:] = 0.6, 0.6
    masks[2, 1, 3] = 0.9
    found = painted(np.zeros((8, 8, 3), np.uint8), masks)
    assert [slot for slot, _, _ in found.slots] == [0, 2]
    assert found.slots[1] == (2, 3, 7)
    for slot, column in ((0, 0), (2, 7)):
        colour = np.array(list(bytes.fromhex(slot_colour(slot)[1:])))
        np.testing.assert_allclose(found.pixels[0, column], 0.55 * colour, atol=1)


@pytest.mark.parametrize("suffix", ["png", "svg", "PNG"])
def test_a_figure_is_saved_with_its_data_as_csv(tmp_path: Path, suffix: str) -> None:
    path = figure().save(tmp_path / "new" / f"figure.{suffix}")
    assert {found.name for found in path.parent.iterdir()} == {"figure.csv", path.name}
    columns = read_csv(path.with_suffix(".csv"))
    assert columns["name"].tolist() == DATA["name"].tolist()
    np.testing.assert_array_equal(columns["score"], DATA["score"])
    data = path.read_bytes()
    if suffix == "svg":
        assert b"<svg" in data
        assert figure().save(tmp_path / "again.svg").read_bytes() == data
    else:
        with Image.open(io.BytesIO(data)) as picture:
            assert picture.width > 100


def test_a_figure_is_not_saved_under_another_suffix(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be saved as figure\.gif") as caught:
        figure().save(tmp_path / "figure.gif")
    assert caught.value.hint == "end the name in .png or .svg"
    assert list(tmp_path.iterdir()) == []


def test_words_are_shown_as_they_are(tmp_path: Path) -> None:
    text = figure("$x$ <script>alert(1)</script>", "$\\frac & 50 %").save(tmp_path / "a.svg")
    svg = text.read_text(encoding="utf-8")
    assert "<script" not in svg
    assert "$x$ &lt;script&gt;alert(1)&lt;/script&gt;" in svg
    assert "$\\frac &amp; 50 %" in svg


def test_a_long_line_is_cut_in_the_middle() -> None:
    assert shown("short\nlines") == "short\nlines"
    long = shown("a" * 100 + "z" * 100)
    assert len(long) == LONGEST
    assert long.startswith("aaa")
    assert long.endswith("zzz")


def test_long_rows_are_broken() -> None:
    row = [Picture(np.zeros((4, 4, 3), np.uint8))] * 11
    drawn = picture_grid([row], {})
    assert len(drawn.axes) == 11
    assert drawn.get_size_inches()[0] < 20
    picture_grid([], {})._repr_png_()


def test_savefig_cuts_off_no_title(tmp_path: Path) -> None:
    tall = figure("one\ntwo\nthree\nfour", title="a title")
    sizes = []
    for options in ({}, {"bbox_inches": None}):
        tall.savefig(tmp_path / "figure.png", dpi=50, **options)
        rows = np.array(Image.open(tmp_path / "figure.png").convert("L")).min(1)
        assert options or rows[0] == 255  # nothing touches the upper edge
        sizes.append(len(rows))
    assert sizes[0] != sizes[1]
