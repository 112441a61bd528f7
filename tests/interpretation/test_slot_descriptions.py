from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nsi_cli import api
from nsi_cli.evaluation.oracle import Oracle
from nsi_cli.evaluation.predictions import Predictions
from nsi_cli.interpretation.slot_descriptions import (
    ImageDescription,
    Reader,
    SlotDescription,
    object_scores,
)
from nsi_cli.schema import Categorical, Continuous, Schema
from nsi_cli.support.errors import DataError

SCHEMA = Schema(
    (Categorical("shape", ("cube", "ball")), Categorical("hue", ("red", "blue", "green")),
     Continuous("x")),
    max_objects=2,
)  # fmt: skip


def scenes() -> Predictions:
    primitives = np.array([[[0, 1, 0.25], [1, 2, 0.75]], [[1, 0, 0.5], [0, 0, 0]]], np.float32)
    present = np.array([[True, True], [True, False]])
    masks = np.zeros((2, 8, 8), np.uint8)
    masks[:, :4, :4] = 1
    masks[0, 4:, :] = 2
    empty = np.zeros((2, 3, 8, 8), np.float32)
    given = Predictions(
        index=np.arange(2), primitives=primitives, present=present, attention_masks=empty,
        slot_embeddings=empty[..., 0], primitive_embeddings=empty[:, :2, :, 0],
        aligned_slot=np.zeros((2, 2), int), aligned_score=np.zeros((2, 2), np.float32),
        true_masks=masks,
    )  # fmt: skip
    (found,) = Oracle(SCHEMA).predictions([given])
    return found


def test_slots_that_hold_objects_are_read_as_these() -> None:
    reader = Reader.of(SCHEMA, Oracle(SCHEMA).encode, tau=0.01)
    _, first, second = reader.describe(scenes())[0]
    assert first.values == {"shape": "cube", "hue": "blue"}
    assert second.values == {"shape": "ball", "hue": "green"}
    for slot in (first, second):
        for name, likely in slot.probabilities.items():
            assert sum(likely.values()) == pytest.approx(1)
            assert likely[slot.values[name]] == pytest.approx(1, abs=1e-3)
    assert first.numbers["x"] == pytest.approx((0.25,), abs=0.02)
    assert second.numbers["x"] == pytest.approx((0.75,), abs=0.02)
    assert [round(slot.share, 2) for slot in (first, second)] == [0.25, 0.5]


def test_probabilities_are_the_softmax_over_all_candidates() -> None:
    reader = Reader.of(SCHEMA, Oracle(SCHEMA).encode, tau=2.0)
    given = scenes()
    found = reader.found
    for slot, vector in zip(reader.describe(given)[0], given.slot_embeddings[0], strict=True):
        weights = np.exp(found.embeddings @ vector / 2.0)  # (M, P)
        ids = found.primitives[..., 0]
        expected = weights[ids == 1].sum() / weights.sum()
        assert slot.probabilities["shape"]["ball"] == pytest.approx(expected)


def test_familiarity_is_the_share_of_training_objects_that_score_lower() -> None:
    reader = Reader.of(SCHEMA, Oracle(SCHEMA).encode, tau=1.0)
    scores = object_scores(reader, scenes())
    assert len(scores) == 3
    reader = replace(reader, reference=np.sort(np.append(scores, [-5, -4, 9])))
    background, first, _ = reader.describe(scenes())[0]
    assert background.familiarity == pytest.approx(2 / 6)  # its best score is about −1
    assert 2 / 6 <= first.familiarity < 1


def test_excluded_properties_are_not_described() -> None:
    excluded = ["hue", "x"]
    reader = Reader.of(SCHEMA, Oracle(SCHEMA, excluded).encode, 1.0, excluded)
    slots = np.zeros((2, 3, reader.found.embeddings.shape[-1]), np.float32)
    (*_, slot) = reader.describe(replace(scenes(), slot_embeddings=slots))[0]
    assert set(slot.values) == {"shape"}
    assert slot.numbers == {}


def test_images_of_ones_own_are_described_by_file_and_by_array(
    trained: Path, tmp_path: Path
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "own.png")
    loaded = api.load_run(trained)
    by_file, by_array = loaded.describe([tmp_path / "own.png", pixels])
    assert (by_file.name, by_array.name) == ("own.png", "image 2")
    assert len(by_file.slots) == loaded.run.config.num_slots
    for one, other in zip(by_file.slots, by_array.slots, strict=True):
        assert one.values == other.values
        assert one.score == pytest.approx(other.score, rel=1e-4)
    assert sum(slot.share for slot in by_file.slots) == pytest.approx(1)
    assert len(loaded.reader.reference) > 10
    (described,) = api.describe(trained, [tmp_path / "own.png"])
    assert [slot.values for slot in described.slots] == [slot.values for slot in by_file.slots]
    table = api.description_table(described)
    shares = [slot.share for slot in by_file.slots if slot.share]
    assert len(table.rows) == len(shares)
    largest = max(by_file.slots, key=lambda slot: slot.share)
    assert table.rows[0][0] == str(largest.slot + 1)
    assert table.columns == ("slot", "share", "size", "shape", "material", "familiarity")
    empty = len(by_file.slots) - len(shares)
    assert any(f"{empty} slot" in note and "no pixel" in note for note in table.notes) is (
        empty > 0
    )


@pytest.mark.parametrize("image", [np.zeros((4, 4)), np.zeros((0, 4, 3), np.uint8)])
def test_arrays_that_are_no_images_are_refused(trained: Path, image: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"uint8 \(H, W, 3\)"):
        api.load_run(trained).describe([image])


def test_slots_are_listed_by_share_and_those_of_no_pixel_are_counted_in_one_line() -> None:
    def slot(number: int, share: float) -> SlotDescription:
        return SlotDescription(number, share, {"shape": "cube"}, {"shape": {"cube": 0.9}}, {}, 1, 0)

    slots = (slot(0, 0.0), slot(1, 0.004), slot(2, 0.996), slot(3, 0.0))
    one = ImageDescription("a", np.zeros((4, 4, 3), np.uint8), np.zeros((4, 2, 2), "f4"), slots)
    assert one.headings() == ("slot", "share", "shape", "familiarity")
    assert one.rows() == [
        ("3", "100 %", "cube (90 %)", "0 %, unfamiliar"),
        ("2", "<1 %", "cube (90 %)", "0 %, unfamiliar"),
    ]
    assert one.notes()[0] == "2 slots take no pixel: 1, 4"
