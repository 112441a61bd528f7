"""Scanned scenes are complete and take little memory."""

import pickle
import tracemalloc

import pytest
from nsi_clevrtex.builder import ClevrtexBuilder
from nsi_clevrtex.layout import SceneSource, SceneSources
from nsi_clevrtex.texts import Texts


def test_texts_are_returned_unchanged() -> None:
    result = ["", "a", "ä/日本", "\udcff of no encoding", "b" * 1000]
    texts = Texts(result)
    assert len(texts) == len(result)
    assert [texts[index] for index in range(len(result))] == result


def test_sources_are_ordered_and_can_be_sliced() -> None:
    sources = SceneSources(SceneSource(index, f"/raw/{index}.json") for index in (7, 1, 300, 2))
    assert [source.index for source in sources] == [1, 2, 7, 300]
    assert sources[-1] == SceneSource(300, "/raw/300.json")
    assert [source.path for source in sources[1:3]] == ["/raw/2.json", "/raw/7.json"]


@pytest.mark.slow
def test_a_scanned_scene_takes_a_few_hundred_bytes(make_raw) -> None:
    writer = make_raw()
    for index in range(10):
        writer.scene(index, 10)
    for index in range(10, 1000):
        for path in (writer.json, writer.image, writer.mask):
            path(index).hardlink_to(path(index % 10))
    ClevrtexBuilder(writer.raw).splits()  # fills all caches
    tracemalloc.start()
    builder = ClevrtexBuilder(writer.raw)
    sources = builder.splits()["train"]
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(sources) == 1000
    assert used < 1000 * 600
    objects = builder.load(sources[37]).primitives
    assert len(objects) == 10
    assert pickle.loads(pickle.dumps(sources[37])) == sources[37]
