from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from nsi_cli.evaluation.suite import evaluate
from nsi_cli.interpretation.pages.collect import collect
from nsi_cli.interpretation.pages.curves import Curve, Line
from nsi_cli.interpretation.pages.report import Heading, Upload, write_report
from nsi_cli.interpretation.pages.scenes.cards import CardMaker

HEADING = Heading("toy", "runs/toy/one", "test")


def write(split, out, scenes=(0, 3), **more) -> str:
    page = write_report(
        out,
        collect([split.predictions], scenes),
        heading=HEADING,
        schema=split.schema,
        ids=split.ids,
        images=split.pictures,
        **more,
    )
    assert page == out / "index.html"
    return page.read_text(encoding="utf-8")


class Tags(HTMLParser):
    """Every start tag, and whether each was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag, attrs) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in {"meta", "br", "input", "img", "polyline"}:
            self.open.append(tag)

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag


def parsed(page: str) -> Tags:
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    return tags


def upload(split) -> Upload:
    fields = ("primitives", "present", "primitive_embeddings", "aligned_slot", "aligned_score")
    predictions = split.predictions.take([4])
    empty = {name: getattr(predictions, name)[:, :0] for name in fields}
    return Upload("my <photo>.jpg", split.images[4], replace(predictions, true_masks=None, **empty))


def test_the_page_is_whole_in_itself(split, tmp_path) -> None:
    page = write(split, tmp_path)
    assert not re.search(
        r"(src|href)=\"(?!#|data:image/)|@import|https?://|url\((?!data:image/)", page
    )
    assert [file.name for file in tmp_path.iterdir()] == ["index.html"]
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


def test_each_scene_has_a_card_and_each_object_a_row_with_its_slot(split, tmp_path) -> None:
    tags = parsed(write(split, tmp_path)).seen
    assert [attrs["id"] for tag, attrs in tags if tag == "article"] == ["scene-0", "scene-3"]
    rows = [attrs["data-slot"] for tag, attrs in tags if tag == "tr" and "data-slot" in attrs]
    assert rows == ["1", "2", "1"]  # two objects in scene 0, one in scene 3


def test_an_object_that_no_slot_was_left_for_says_so(split, tmp_path) -> None:
    split.predictions.aligned_slot[0, 1] = -1
    page = write(split, tmp_path)
    rows = [attrs["data-slot"] for tag, attrs in parsed(page).seen
            if tag == "tr" and "data-slot" in attrs]  # fmt: skip
    assert rows == ["1", "1"]
    assert page.count("no slot left") == 1


def test_names_from_the_data_are_text_never_markup(split, tmp_path) -> None:
    page = write(split, tmp_path, scenes=range(8))
    assert "<b>cone</b>" not in page
    assert "&lt;b&gt;cone&lt;/b&gt;" in page


def test_slot_masks_and_attention_masks_are_named_apart(split, tmp_path) -> None:
    page = write(split, tmp_path)
    assert "[data-masks=slot_masks] #scene-0{" in page
    assert "[data-masks=attention_masks] #scene-0{" in page
    no_decoder = replace(split, predictions=replace(split.predictions, slot_masks=None))
    page = write(no_decoder, tmp_path)
    assert "[data-masks=slot_masks] #scene-0{" not in page
    assert "there are no slot masks" in page


def test_an_evaluation_puts_its_numbers_on_the_page(split, tmp_path) -> None:
    result = evaluate([split.predictions], split.schema, task="toy", split="test").result
    assert "All metrics" not in write(split, tmp_path)
    page = write(split, tmp_path, result=result)
    parsed(page)
    value = result["retrieval"]["image_to_schema"]["R@1"]["value"]
    assert f'<p class="value">{value:.3f}</p>' in page
    assert "All metrics" in page


def test_each_number_has_its_null_beside_it(split, tmp_path) -> None:
    def encode(primitives, present):
        return np.repeat(primitives[..., :1], 12, -1)

    result = evaluate(
        [split.predictions], split.schema, task="toy", split="test", encode_primitives=encode
    ).result
    page = write(split, tmp_path, result=result)
    parsed(page)
    nulls = {
        "null, ranks at random:": result["retrieval"]["image_to_schema"]["R@1"],
        "null, any slot:": result["grounding"]["pointing"],
        "null, another image&#39;s slots:": result["properties"]["shape"],
    }
    for name, measured in nulls.items():
        assert f"{name} {measured['null']['value']:.3f}" in page
    assert "read from the slot with the largest IoU" in page


def test_a_result_of_an_earlier_version_is_shown_without_nulls(split, tmp_path) -> None:
    result = evaluate([split.predictions], split.schema, task="toy", split="test").result
    for part in result["retrieval"]["image_to_schema"], result["grounding"]:
        for measured in part.values():
            measured.pop("null", None) if isinstance(measured, dict) else None
    result["properties"] = {
        "shape": {"value": 0.4, "ci95": [0.3, 0.5], "measure": "accuracy", "chance": 0.25}
    }
    page = write(split, tmp_path, result=result)
    parsed(page)
    assert "null, any slot" not in page
    assert '<p class="value">0.400</p>' in page


def test_an_image_of_ones_own_shows_slots_and_schemas_but_no_objects(split, tmp_path) -> None:
    page = write(split, tmp_path, scenes=[], uploads=[upload(split)])
    tags = parsed(page).seen
    assert "my &lt;photo&gt;.jpg" in page
    assert [attrs["id"] for tag, attrs in tags if tag == "article"] == ["image-1"]
    classes = [attrs.get("class") for _, attrs in tags]
    assert "objects" not in classes
    assert "schemas plain" in classes
    assert "images" not in classes


def test_a_dataset_without_masks_shows_no_true_objects(split, tmp_path) -> None:
    no_masks = replace(split, predictions=replace(split.predictions, true_masks=None))
    page = write(no_masks, tmp_path)
    parsed(page)
    assert "True objects, in" not in page


@pytest.fixture
def maker(split) -> CardMaker:
    return CardMaker(collect([split.predictions], [0]), split.schema, split.ids, top=3)


def test_a_card_tells_which_objects_are_pointed_at(split, maker) -> None:
    by_attention = replace(split.predictions.take([0]), slot_masks=None)
    card = maker.of_scene(by_attention, split.images[0])
    assert card.grounded == (2, 2)
    assert all(row.iou > 0.9 for row in card.objects)
    upside_down = split.predictions.take([0])
    assert maker.of_scene(upside_down, split.images[0]).grounded == (0, 2)


def test_a_crop_frames_the_peak_of_the_aligned_slot(split, maker) -> None:
    by_attention = replace(split.predictions.take([0]), slot_masks=None)
    upper_left, lower_right = maker.of_scene(by_attention, split.images[0]).objects
    assert upper_left.crop[1:] == (0, 0)
    assert lower_right.crop[1:] == (100, 100)
    assert 200 < upper_left.crop[0] < 400  # a third of the image, enlarged to the whole


def test_objects_described_alike_stand_out_once_each(split, maker) -> None:
    card = maker.of_scene(split.predictions.take([0]), split.images[0])
    own = next(found for found in card.schemas if found.hit)
    assert [alike for _, alike in own.objects] == [True, True]
    assert own.scene == "0000"  # without what all ids begin with
    for found in card.schemas:
        words = [text.words for text, alike in found.objects if alike]
        assert all(words.count(word) <= 2 for word in words)


def test_slots_picked_twice_are_marked(split, maker) -> None:
    scene = split.predictions.take([0])
    scene.aligned_slot[:] = 1
    assert all(row.shared for row in maker.of_scene(scene, split.images[0]).objects)


def test_an_object_of_which_a_word_is_missing_is_like_no_other(split, tmp_path) -> None:
    assert 'class="alike"' in write(split, tmp_path / "known")
    primitives = split.predictions.primitives.copy()
    primitives[..., 0] = -1
    unknown = replace(split, predictions=replace(split.predictions, primitives=primitives))
    page = write(unknown, tmp_path / "unknown")
    assert "unknown shape" in page
    assert 'class="alike"' not in page


def test_every_object_has_its_score_with_every_slot(split, tmp_path) -> None:
    collected = collect([split.predictions], [0])
    (scene,) = collected.scenes
    card = CardMaker(collected, split.schema, split.ids, 3).of_scene(scene, split.images[0])
    present = scene.present[0]
    scores = scene.primitive_embeddings[0][present] @ scene.slot_embeddings[0].T
    found = np.array([[cell.score for cell in row] for row in card.matrix])
    np.testing.assert_allclose(found, scores, rtol=1e-6)
    strengths = np.array([[cell.strength for cell in row] for row in card.matrix])
    assert (strengths.min(), strengths.max()) == (0, 1)
    aligned = [[cell.aligned for cell in row].index(True) for row in card.matrix]
    assert aligned == scene.aligned_slot[0][present].tolist()
    page = write(split, tmp_path, scenes=(0,))
    assert page.count('class="matrix"') == 1
    assert page.count('title="slot ') == found.size


def test_the_contents_lead_to_the_sections_that_are_there(split, tmp_path) -> None:
    page = write(split, tmp_path)
    links = re.findall(r'href="#([a-z]+)"', page)
    assert links == ["overview", "scenes", "method"]
    assert all(page.count(f'id="{link}"') == 1 for link in links)


def test_a_split_without_objects_has_a_report(split, tmp_path) -> None:
    empty = replace(
        split.predictions,
        present=np.zeros_like(split.predictions.present),
        true_masks=np.zeros_like(split.predictions.true_masks),
    )
    bare = replace(split, predictions=empty)
    result = evaluate([empty], split.schema, task="toy", split="test").result
    tags = parsed(write(bare, tmp_path, result=result)).seen
    assert [attrs["id"] for tag, attrs in tags if tag == "article"] == ["scene-0", "scene-3"]


def test_the_title_names_the_store_if_its_name_is_not_the_task() -> None:
    assert Heading("table", "runs/table/one", "test", {"store": "data/birds"}).dataset == (
        "table · birds"
    )
    assert Heading("clevr", "runs/clevr/one", "test", {"store": "data/clevr"}).dataset == "clevr"
    assert HEADING.dataset == "toy"


def test_a_training_without_logged_losses_says_why_its_curves_have_one_line(
    split, tmp_path
) -> None:
    line = Line("val", "validation", "0,1 2,3", 0.5)
    page = write(split, tmp_path, curves=[Curve("contrastive loss", 0, 1, 3, (line,))])
    assert "fewer steps than <code>--log-every</code>" in page
    both = (Line("train", "training", "0,1 2,3", 0.5), line)
    page = write(split, tmp_path, curves=[Curve("contrastive loss", 0, 1, 3, both)])
    assert "fewer steps than" not in page
