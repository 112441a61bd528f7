"""What was read of thousands of scenes takes little room, and says all that is needed."""

import pickle
import tracemalloc

from nsi_clevrtex.builder import ClevrtexBuilder
from nsi_clevrtex.layout import SceneSource, SceneSources
from nsi_clevrtex.texts import Texts


def test_texts_come_back_as_they_were() -> None:
    result = ["", "a", "ä/日本", "\udcff of no encoding", "b" * 1000]
    texts = Texts(result)
    assert len(texts) == len(result)
    assert [texts[place] for place in range(len(result))] == result


def test_sources_are_in_order_and_can_be_cut() -> None:
    sources = SceneSources(SceneSource(index, f"/raw/{index}.json") for index in (7, 1, 300, 2))
    assert [source.index for source in sources] == [1, 2, 7, 300]
    assert sources[-1] == SceneSource(300, "/raw/300.json")
    assert [source.path for source in sources[1:3]] == ["/raw/2.json", "/raw/7.json"]


def test_a_scene_that_was_read_takes_a_few_hundred_bytes(make_raw) -> None:
    made = make_raw()
    for index in range(10):
        made.scene(index, 10)
    for index in range(10, 1000):
        for path in (made.json, made.image, made.mask):
            path(index).hardlink_to(path(index % 10))
    ClevrtexBuilder(made.raw).splits()  # which fills what caches there are
    tracemalloc.start()
    builder = ClevrtexBuilder(made.raw)
    sources = builder.splits()["train"]
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(sources) == 1000
    assert taken < 1000 * 600
    objects = builder.load(sources[37]).primitives
    assert len(objects) == 10
    assert pickle.loads(pickle.dumps(sources[37])) == sources[37]
