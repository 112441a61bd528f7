"""The plan of a build: which scenes of which splits."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsi_cli.data.build.build import build_store
from nsi_cli.data.build.options import BuildOptions
from nsi_cli.data.build.plan import limited
from nsi_cli.data.store.reader import open_store
from nsi_cli.support.errors import DataError, PluginError
from nsi_cli.support.progress import Progress

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


def test_a_limited_store_holds_the_first_scenes_of_each_split(
    numbered: Any, tmp_path: Path
) -> None:
    sizes = (("train", 70), ("val", 1), ("test", 9))
    builder = numbered(tmp_path / "raw", sizes)
    whole = open_store(build_store(builder, "x", tmp_path / "whole", BuildOptions(16)))
    part = open_store(build_store(builder, "x", tmp_path / "part", BuildOptions(16, limit=8)))
    assert part.schema == whole.schema
    assert {split: part.count(split) for split in part.splits} == {"train": 6, "val": 1, "test": 1}
    assert part.ids("train") == whole.ids("train")[:6]
    assert part.build["options"]["limit"] == 8


@pytest.mark.parametrize("notes", [[], ["one", "of two\nlines"]])
def test_a_builders_notes_are_printed_and_recorded(
    numbered: Any, tmp_path: Path, notes: list[str]
) -> None:
    @dataclass(frozen=True)
    class Noting(numbered):  # type: ignore[misc]
        def notes(self) -> list[str]:
            return notes

    class Printed(Progress):
        def __init__(self) -> None:
            self.lines: list[str] = []

        def note(self, text: str) -> None:
            self.lines.append(text)

    progress = Printed()
    built = build_store(Noting(tmp_path / "raw"), "x", tmp_path / "out", BuildOptions(16), progress)
    lines = [" ".join(note.split()) for note in notes]
    assert progress.lines == lines
    assert open_store(built).build.get("notes", []) == lines


@pytest.mark.parametrize("method", ["schema", "splits"])
def test_an_unexpected_exception_of_a_builder_names_its_line(
    numbered: Any, tmp_path: Path, method: str
) -> None:
    def fail(self: object) -> Any:
        return {}["valid"]

    broken = type("Broken", (numbered,), {method: fail, "__module__": __name__})
    message = rf"Broken\.{method} failed: KeyError: 'valid' \(test_plan\.py, line \d+\)"
    with pytest.raises(PluginError, match=message):
        build_store(broken(tmp_path / "raw"), "x", tmp_path / "out", BuildOptions(16))
    assert not (tmp_path / "out").exists()


def test_an_unexpected_exception_of_a_scene_names_its_line(numbered: Any, tmp_path: Path) -> None:
    def load(self: object, source: Any) -> Any:
        return "78" + source

    broken = type("Broken", (numbered,), {"load": load, "__module__": __name__})
    with pytest.raises(DataError, match=r"TypeError: .* \(test_plan\.py, line \d+\)"):
        build_store(broken(tmp_path / "raw"), "x", tmp_path / "out", BuildOptions(16))
