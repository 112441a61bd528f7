"""The images with the slots nearest to a given slot, against brute force."""

from __future__ import annotations

import json

import numpy as np
import pytest

from nsi_cli.interpretation.loaded_run import LoadedRun
from nsi_cli.support.errors import ConfigError


def test_the_nearest_slots_are_those_of_brute_force(any_run: LoadedRun) -> None:
    given = any_run.scenes("test")[2].slot_embeddings[:2]
    scenes = list(any_run.scenes("test"))
    found = any_run.retrieve_slots(given, top=3, batch_size=4)
    for one, slot in zip(found, given, strict=True):
        cosines = np.array([
            scene.slot_embeddings @ slot
            / np.linalg.norm(scene.slot_embeddings, axis=1) / np.linalg.norm(slot)
            for scene in scenes
        ])  # fmt: skip
        expected = np.argsort(-cosines.max(1), kind="stable")[:3]
        assert [match.index for match in one.matches] == expected.tolist()
        assert one.matches[0].index == 2
        assert one.matches[0].similarity == pytest.approx(1, abs=1e-4)
        for match in one.matches:
            assert match.similarity == pytest.approx(cosines[match.index].max(), abs=1e-4)
            assert match.slot == cosines[match.index].argmax()
            np.testing.assert_array_equal(match.mask, scenes[match.index].masks[match.slot])
            np.testing.assert_array_equal(match.image, scenes[match.index].image)


def test_one_slot_is_taken_alone_and_results_are_plain(any_run: LoadedRun) -> None:
    (found,) = any_run.retrieve_slots(any_run.scenes("test")[0].slot_embeddings[1], top=2)
    assert len(json.loads(json.dumps(found.to_dict()))["matches"]) == 2
    assert [len(column) for column in found.columns().values()] == [2] * 5
    assert len(found.plot().axes) == 2
    with pytest.raises(ConfigError, match="not \\(n, 8\\)"):
        any_run.retrieve_slots(np.zeros(3))
