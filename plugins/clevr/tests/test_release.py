"""The published archives, and how a raw folder of each release is recognised."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nsi_clevr.builder import ClevrBuilder
from nsi_clevr.release import RELEASES, VARIANTS, find_scene_lists

from nsi_cli.plugins import DataError, Downloadable

HANS = "https://tudatalib.ulb.tu-darmstadt.de/bitstream/handle/tudatalib"


def test_the_archives_that_are_published() -> None:
    urls = {variant: RELEASES[variant].archive.url() for variant in VARIANTS}
    assert urls == {
        "clevr": "https://dl.fbaipublicfiles.com/clevr/CLEVR_v1.0.zip",
        "hans3": f"{HANS}/2611/CLEVR-Hans3.zip",
        "hans7": f"{HANS}/2618/CLEVR-Hans7.zip",
    }
    assert isinstance(ClevrBuilder(Path("raw")), Downloadable)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_files_that_a_build_reads_are_unpacked_to_their_paths(
    variant: str, make_raw: Callable[..., Any]
) -> None:
    sizes = {"train": 1, "val": 1} | ({"test": 1} if variant != "clevr" else {})
    writer = make_raw(variant).splits(**sizes)
    (archive,) = ClevrBuilder(writer.raw, variant=variant).archives()
    files = [path.relative_to(writer.raw) for path in writer.raw.rglob("*.*") if path.is_file()]
    assert len(files) == 2 * len(sizes)
    for file in files:
        assert archive.place(str(file)) == file


@pytest.mark.parametrize(
    ("variant", "name"),
    [
        ("clevr", "CLEVR_v1.0/images/test/CLEVR_test_000000.png"),
        ("clevr", "CLEVR_v1.0/questions/CLEVR_train_questions.json"),
        ("clevr", "CLEVR_v1.0/README.txt"),
        ("clevr", "CLEVR_v1.0/images/train/CLEVR_val_000000.png"),
        ("hans3", "CLEVR-Hans3/train/scenes/CLEVR_Hans_classid_0_000000.json"),
        ("hans3", "__MACOSX/CLEVR-Hans3/train/images/._CLEVR_Hans_classid_0_000000.png"),
    ],
)
def test_other_files_are_not_unpacked(variant: str, name: str) -> None:
    assert RELEASES[variant].archive.place(name) is None


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_raw_folder_may_be_that_of_the_release(
    variant: str, make_raw: Callable[..., Any]
) -> None:
    writer = make_raw(variant)
    writer.write("train", [writer.scene("train", 0)])
    expected = {"train": writer.scenes_path("train")}
    assert find_scene_lists(writer.raw, variant) == expected
    assert find_scene_lists(writer.folder, variant) == expected


@pytest.mark.parametrize(
    ("there", "asked", "hint"),
    [
        ("hans3", "clevr", "it contains CLEVR-Hans3: --variant hans3"),
        ("hans3", "hans7", "it contains CLEVR-Hans3: --variant hans3"),
        ("clevr", "hans3", "it contains CLEVR v1.0: --variant clevr"),
    ],
)
def test_another_release_is_named(
    there: str, asked: str, hint: str, make_raw: Callable[..., Any]
) -> None:
    writer = make_raw(there)
    writer.write("train", [writer.scene("train", 0)])
    with pytest.raises(DataError, match=f"no scenes of {RELEASES[asked].title}") as caught:
        find_scene_lists(writer.raw, asked)
    assert caught.value.hint == hint


def test_another_dataset_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "clevrtex_full" / "0").mkdir(parents=True)
    (tmp_path / "clevrtex_full" / "0" / "CLEVRTEX_full_000000.json").write_text("{}")
    with pytest.raises(DataError, match=r"no scenes of CLEVR v1\.0 under") as caught:
        find_scene_lists(tmp_path, "clevr")
    assert "CLEVR_v1.0/scenes/CLEVR_train_scenes.json" in caught.value.hint
    with pytest.raises(DataError, match="no raw folder at"):
        find_scene_lists(tmp_path / "away", "clevr")
