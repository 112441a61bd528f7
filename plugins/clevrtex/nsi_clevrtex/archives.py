"""The archives in which CLEVRTex is published, and which of their files are read."""

from __future__ import annotations

from nsi_clevrtex.layout import FOLDERS, STEMS
from nsi_cli.plugins import Archive

BASE = "https://thor.robots.ox.ac.uk/datasets/clevrtex/"
PARTS_OF_FULL = 5
_PASSES = "albedo|depth|normal|shadow"  # of the renderer, which nothing here reads


def archives_of(variant: str, release: str) -> tuple[Archive, ...]:
    """The archives of a variant in a release, v1 or v2.

    All parts of v1's full merge into one folder. No list of the archives is published: those of
    pbg, vbg, grassbg and of v2's variants are named by analogy.
    """
    folder = f"{FOLDERS[release]}_{variant}"
    names = [f"{folder}.tar" if release == "v2" else f"{folder}.tar.gz"]
    if (variant, release) == ("full", "v1"):
        names = [f"{folder}_part{number}.tar.gz" for number in range(1, PARTS_OF_FULL + 1)]
    wanted = _wanted(rf"{STEMS[release]}_{variant}_\d{{6,}}", release)
    return tuple(Archive(BASE, name, wanted, folder) for name in names)


def _wanted(stem: str, release: str) -> str:
    """The files of a scene that a build reads."""
    if release == "v1":
        return rf"\d+/{stem}(\.json|\.png|_flat\.png)"
    # Only a scene's JSON names its mask, so everything but the renderer's passes is unpacked.
    return rf"\d+/{stem}/(?![^/]*_({_PASSES})_?\d*\.)[^/]+\.(json|png)"
