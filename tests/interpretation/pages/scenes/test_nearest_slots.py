from __future__ import annotations

import numpy as np

from nsi_cli.interpretation.pages.collect import collect
from nsi_cli.interpretation.pages.scenes.nearest_slots import NEAREST, NearestSlots
from nsi_cli.interpretation.pages.slots.records import SlotRecords


def test_the_nearest_slots_are_those_of_a_plain_search(split) -> None:
    records = SlotRecords()
    collected = collect([split.predictions], [], [records])
    finder = NearestSlots(collected, records, split.schema, split.ids, split.pictures)
    slots = split.predictions.slot_embeddings
    found = finder.of(2, 1, ("cube",))
    query = slots[2, 1] / np.linalg.norm(slots[2, 1])
    best = {}
    for scene in range(8):
        if scene != 2:
            lengths = np.maximum(np.linalg.norm(slots[scene], axis=1), 1e-12)
            best[scene] = float((slots[scene] @ query / lengths).max())
    expected = sorted(best, key=lambda scene: -best[scene])[:NEAREST]
    assert [near.scene for near in found] == [split.ids[scene] for scene in expected]
    np.testing.assert_allclose(
        [near.similarity for near in found], [best[scene] for scene in expected], atol=1e-6
    )
    for near in found:
        assert near.alike == (near.object == "cube")
