from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from nsi_cli import api


def test_a_sample_is_whole_batches_of_different_scenes_drawn_by_a_seed(trained: Path) -> None:
    loaded = api.load_run(trained)
    count = loaded.store.count("train")
    drawn = [batch.index for batch in loaded.predictions("train", 3, sample=4)]
    again = [batch.index for batch in loaded.predictions("train", 3, sample=4)]
    np.testing.assert_array_equal(drawn, again)
    assert [len(index) for index in drawn] == [3, 3]
    assert len(np.unique(drawn)) == 6
    assert np.concatenate(drawn).tolist() != list(range(6))
    every = [batch.index for batch in loaded.predictions("train", 3, sample=count + 1)]
    assert sorted(np.concatenate(every).tolist()) == list(range(count))


def test_a_sample_does_not_cache_features(trained: Path, tmp_path: Path) -> None:
    loaded = api.load_run(trained)
    folder = tmp_path / "features"
    config = replace(loaded.run.config, feature_cache=str(folder))
    loaded = replace(loaded, run=replace(loaded.run, config=config))
    sampled = next(loaded.predictions("train", 3, sample=1))
    assert not folder.exists()
    cached = {
        number: slots
        for batch in loaded.predictions("train", 3)
        for number, slots in zip(batch.index, batch.slot_embeddings, strict=True)
    }
    assert folder.exists()
    for number, slots in zip(sampled.index, sampled.slot_embeddings, strict=True):
        np.testing.assert_allclose(slots, cached[number], atol=1e-2)
