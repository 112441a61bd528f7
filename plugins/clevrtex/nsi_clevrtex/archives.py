"""The published archives of CLEVRTex, and the files that are unpacked from them."""

from __future__ import annotations

from nsi_clevrtex.layout import FOLDERS, STEMS
from nsi_cli.plugins import Archive

BASE = "https://thor.robots.ox.ac.uk/datasets/clevrtex/"
PARTS_OF_FULL = 5
_PASSES = "albedo|depth|normal|shadow"  # render passes, which are not used


def archives_of(variant: str, release: str) -> tuple[Archive, ...]:
    """Return the archives of a variant in a release, v1 or v2.

    All parts of v1's full are unpacked into one folder. There is no published list of archives: the
    names for pbg, vbg, grassbg and v2's variants are assumed by analogy.
    """
    folder = f"{FOLDERS[release]}_{variant}"
    names = [f"{folder}.tar" if release == "v2" else f"{folder}.tar.gz"]
    if (variant, release) == ("full", "v1"):
        names = [f"{folder}_part{number}.tar.gz" for number in range(1, PARTS_OF_FULL + 1)]
    wanted = _wanted(rf"{STEMS[release]}_{variant}_\d{{6,}}", release)
    return tuple(Archive(BASE, name, wanted, folder) for name in names)


def _wanted(stem: str, release: str) -> str:
    """Return a regular expression for the files of a scene that a build reads."""
    if release == "v1":
        return rf"\d+/{stem}(\.json|\.png|_flat\.png)"
    # Only the JSON names the mask, so every file that is not a render pass is unpacked.
    return rf"\d+/{stem}/(?![^/]*_({_PASSES})_?\d*\.)[^/]+\.(json|png)"
