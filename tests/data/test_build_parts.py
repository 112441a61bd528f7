"""The first scenes only, or shards that are joined: in all, what one build would have made."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsi_cli.data.build import BuildOptions, build_store
from nsi_cli.data.build_merge import merge_shards, missing_shards
from nsi_cli.data.build_parts import Shard, limited, shard_of
from nsi_cli.data.scene import Scene
from nsi_cli.data.store import open_store
from nsi_cli.errors import DataError

SIZES = (("train", 70), ("val", 1), ("test", 9))
OPTIONS = BuildOptions(16, max_skipped=0.1)
Tree = Callable[[Path], dict[str, bytes]]

SPLITS = st.dictionaries(
    st.sampled_from(["train", "val", "test"]), st.integers(1, 60).map(range), min_size=1
)


@given(SPLITS, st.integers(1, 200))
def test_a_limit_is_shared_out_as_the_splits_sizes_are(
    splits: dict[str, range], limit: int
) -> None:
    total = sum(map(len, splits.values()))
    part = limited(splits, limit)
    assert sum(map(len, part.values())) == min(limit, total)
    assert list(part) == [split for split in splits if split in part]
    for split, sources in part.items():
        assert sources == splits[split][: len(sources)]
        assert abs(len(sources) - len(splits[split]) * min(limit, total) / total) <= len(splits)
    assert limit < len(splits) or set(part) == set(splits)


def test_the_shares_of_a_hundred_clevrtex_scenes() -> None:
    splits = {"train": range(37_500), "val": range(2500), "test": range(10_000)}
    assert {name: len(part) for name, part in limited(splits, 100).items()} == {
        "train": 75, "val": 5, "test": 20,
    }  # fmt: skip


@given(SPLITS, st.integers(1, 20))
def test_shards_follow_each_other_without_gap(splits: dict[str, range], of: int) -> None:
    at = dict.fromkeys(splits, 0)
    for index in range(1, of + 1):
        try:
            cut = shard_of(splits, Shard(index, of))
        except DataError:
            continue  # it has no scene
        for split, (start, end) in cut.items():
            assert start == at[split]
            at[split] = end
    assert at == {split: len(sources) for split, sources in splits.items()}


@pytest.fixture
def build(numbered: Any, tmp_path: Path) -> Callable[..., Path]:
    """Builds `Numbered` scenes, of which 5 and 66 cannot be read, wholly or a shard of them."""

    @dataclass(frozen=True)
    class Faulty(numbered):  # type: ignore[misc]
        def load(self, source: int) -> Scene:
            if source in (5, 66):
                raise ValueError("odd")
            return super().load(source)  # type: ignore[no-any-return]

    def make(name: str, shard: Shard | None = None, **changes: Any) -> Path:
        options = replace(OPTIONS, shard=shard, **changes)
        return build_store(Faulty(tmp_path / "raw", SIZES), "x", tmp_path / name, options)

    return make


@pytest.mark.parametrize("of", [1, 3, 8])
@pytest.mark.parametrize("limit", [None, 40])
def test_merged_shards_are_the_store_of_one_build(
    build: Any, tmp_path: Path, tree: Tree, of: int, limit: int | None
) -> None:
    build("whole", limit=limit)
    for index in reversed(range(1, of + 1)):
        assert len(missing_shards(tmp_path / "out", of)) == index
        assert build("out", Shard(index, of), limit=limit) == (
            tmp_path / "out.shards" / f"{index}-of-{of}"
        )
    assert missing_shards(tmp_path / "out", of) == []
    assert merge_shards(tmp_path / "out") == tmp_path / "out"
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")  # build.json, too
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "whole"]


def test_a_limit_keeps_the_words_of_all_scenes(build: Any, tmp_path: Path) -> None:
    whole, part = open_store(build("whole")), open_store(build("part", limit=8, max_skipped=0.2))
    assert part.schema == whole.schema
    assert {split: part.count(split) for split in part.splits} == {"train": 5, "val": 1, "test": 1}
    assert part.ids("train") == whole.ids("train")[:5]
    assert part.build["options"]["limit"] == 8


def test_shards_may_stay(build: Any, tmp_path: Path) -> None:
    for index in (1, 2):
        build("out", Shard(index, 2))
    merge_shards(tmp_path / "out", keep=True)
    assert open_store(tmp_path / "out.shards" / "1-of-2").count("train") == 34


def _missing(build: Any, shards: Path) -> None:
    shutil.rmtree(shards / "2-of-3")
    (shards / ".2-of-3.building").mkdir()


def _foreign(build: Any, shards: Path) -> None:
    shutil.rmtree(shards / "2-of-3")
    build("out", Shard(2, 3), image_size=8)


def _twice(build: Any, shards: Path) -> None:
    shutil.copytree(shards / "2-of-3", shards / "copy")


def _of_another_cut(build: Any, shards: Path) -> None:
    build("out", Shard(1, 2))


def _whole(build: Any, shards: Path) -> None:
    build("whole").rename(shards / "whole")


def _broken(build: Any, shards: Path) -> None:
    (shards / "3-of-3" / "images.h5").unlink()


def _none(build: Any, shards: Path) -> None:
    shutil.rmtree(shards)


FAULTS: dict[str, tuple[Callable[[Any, Path], None], str]] = {
    "missing": (_missing, r"shards are missing in .*out\.shards: 2-of-3$"),
    "foreign": (_foreign, "different builds in .*: 2-of-3 do not go with 1-of-3, 3-of-3"),
    "twice": (_twice, "shard 2 is in .* twice: 2-of-3, copy"),
    "of another cut": (_of_another_cut, "1-of-2 do not go with 1-of-3, 2-of-3, 3-of-3"),
    "a whole store": (_whole, "whole in .*: a whole store, no shard"),
    "broken": (_broken, r"3-of-3 is damaged: images\.h5"),
    "none": (_none, "there are no shards of .*out in .*"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_shards_that_do_not_make_a_whole_are_named(
    build: Any, tmp_path: Path, tree: Tree, fault: str
) -> None:
    for index in (1, 2, 3):
        build("out", Shard(index, 3))
    shards = tmp_path / "out.shards"
    damage, told = FAULTS[fault]
    damage(build, shards)
    before = tree(tmp_path)
    with pytest.raises(DataError, match=told) as caught:
        merge_shards(tmp_path / "out")
    assert caught.value.hint
    if fault == "missing":
        assert caught.value.hint == f"build them with --shard 2/3 --out {tmp_path / 'out'}"
    assert tree(tmp_path) == before


def test_more_shards_than_scenes_are_told(build: Any) -> None:
    with pytest.raises(DataError, match="shard 1-of-500 has no scenes"):
        build("out", Shard(1, 500))
