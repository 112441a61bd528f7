"""The archives of CLEVRTex, and the files that are unpacked from them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nsi_clevrtex.builder import ClevrtexBuilder
from nsi_clevrtex.layout import RELEASES, VARIANTS

from nsi_cli.plugins import DataError, Downloadable

BASE = "https://thor.robots.ox.ac.uk/datasets/clevrtex"


def urls(**options: str) -> list[str]:
    return [archive.url() for archive in ClevrtexBuilder(Path("raw"), **options).archives()]


def test_the_archives_that_are_published() -> None:
    parts = [f"{BASE}/clevrtex_full_part{number}.tar.gz" for number in range(1, 6)]
    assert urls() == urls(release="v1") == parts
    assert urls(variant="outd") == [f"{BASE}/clevrtex_outd.tar.gz"]
    assert urls(variant="camo", release="v1") == [f"{BASE}/clevrtex_camo.tar.gz"]
    assert urls(release="v2") == [f"{BASE}/clevrtexv2_full.tar"]


def test_each_variant_of_each_release_has_its_own_archives() -> None:
    archives = [
        urls(variant=variant, release=release) for variant in VARIANTS for release in RELEASES
    ]
    flat = [url for group in archives for url in group]
    assert len(set(flat)) == len(flat) == 2 * len(VARIANTS) + 4
    assert isinstance(ClevrtexBuilder(Path("raw")), Downloadable)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("prefix", ["", "./", "clevrtex_full/", "some/folder/"])
def test_the_files_that_a_build_reads_are_unpacked_to_their_paths(
    prefix: str, release: str, make_raw: Callable[..., Any]
) -> None:
    writer = make_raw(release, "camo")
    writer.scene(3)
    writer.scene(12_034)
    (archive,) = ClevrtexBuilder(writer.raw, variant="camo", release=release).archives()
    files = [path.relative_to(writer.raw) for path in writer.raw.rglob("*") if path.is_file()]
    assert len(files) == 6
    for file in files:
        assert archive.place(f"{prefix}{Path(*file.parts[1:])}") == file


@pytest.mark.parametrize(
    ("release", "name"),
    [
        ("v1", "3/CLEVRTEX_full_003000_albedo_0001.png"),
        ("v1", "3/CLEVRTEX_full_003000_shadow_0001.png"),
        ("v2", "3/CLEVRTEXv2_full_003000/CLEVRTEXv2_full_003000_depth_0003.png"),
        ("v2", "3/CLEVRTEXv2_full_003000/CLEVRTEXv2_full_003000_normal0003.png"),
    ],
)
def test_render_passes_are_not_unpacked(release: str, name: str) -> None:
    archive = ClevrtexBuilder(Path("raw"), release=release).archives()[0]
    assert archive.place(f"x/{name}") is None


@pytest.mark.parametrize(
    "name", ["readme.txt", "3/CLEVRTEX_outd_003000.png", "CLEVRTEX_full_003000.png", "3/x.png"]
)
def test_files_of_other_variants_are_not_unpacked(name: str) -> None:
    archive = ClevrtexBuilder(Path("raw")).archives()[0]
    assert archive.place(name) is None


def test_real_scenes_are_not_downloaded_to_synthetic_ones(tmp_path: Path) -> None:
    builder = ClevrtexBuilder(tmp_path)
    builder.synthesize(1, seed=0, workers=0)
    with pytest.raises(DataError, match="contains synthetic scenes"):
        builder.archives()
