"""Where the two releases of CLEVRTex keep their files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nsi_cli.plugins import DataError

VARIANTS = ("full", "outd", "camo", "pbg", "vbg", "grassbg")
RELEASES = ("v1", "v2")

_FOLDER = {"v1": "clevrtex", "v2": "clevrtexv2"}
_STEM = {"v1": "CLEVRTEX", "v2": "CLEVRTEXv2"}
V2_FRAME = "0003.png"  # the frame number that Blender appended to every picture of v2


@dataclass(frozen=True)
class SceneSource:
    """One raw scene: its index in the dataset and the path of its JSON."""

    index: int
    path: str

    def __str__(self) -> str:
        return Path(self.path).stem


@dataclass(frozen=True)
class RawFolder:
    """The scenes of one variant in one release, found under a folder."""

    release: str
    folder: Path
    sources: tuple[SceneSource, ...]


def find_scenes(raw: Path, variant: str, release: str) -> RawFolder:
    """The scenes of a variant under ``raw``, ordered by index whatever order the disk has.

    ``raw`` is the folder that holds ``clevrtex_full`` (v1) or ``clevrtexv2_full`` (v2), or that
    folder itself; ``release`` is v1, v2 or auto. Raises `DataError` where there is none.
    """
    if not raw.is_dir():
        raise DataError(
            f"no raw folder at {raw}",
            "unpack CLEVRTex there, or render scenes with --synthetic N",
        )
    try:
        found = _find(raw, variant, release)
    except OSError as error:
        raise DataError(
            f"the raw folder {raw} cannot be read: {error.strerror}", "check its permissions"
        ) from None
    if not found:
        raise DataError(
            f"no scenes of variant '{variant}' under {raw}",
            f"expected {raw / 'clevrtex_'}{variant}/0/CLEVRTEX_{variant}_000000.json (v1) or "
            f"clevrtexv2_{variant}/0/… (v2)",
        )
    if len(found) > 1:
        raise DataError(f"both releases lie under {raw}", "choose one with --release v1 or v2")
    _refuse_repeats(found[0])
    return found[0]


def _find(raw: Path, variant: str, release: str) -> list[RawFolder]:
    found = []
    for one in RELEASES if release == "auto" else (release,):
        for folder in (raw / f"{_FOLDER[one]}_{variant}", raw):
            pattern = re.compile(rf"{_STEM[one]}_{variant}_(\d{{6,}})\.json")
            sources = sorted(_sources(folder, pattern, one), key=lambda item: item.index)
            if sources:
                found.append(RawFolder(one, folder, tuple(sources)))
                break
    return found


def _sources(folder: Path, pattern: re.Pattern[str], release: str) -> Iterator[SceneSource]:
    for hundred in _folders(folder):
        for path in _folders(hundred) if release == "v2" else [hundred]:
            with os.scandir(path) as entries:
                for entry in entries:
                    if match := pattern.fullmatch(entry.name):
                        yield SceneSource(int(match[1]), entry.path)


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return [Path(entry.path) for entry in entries if entry.is_dir()]


def _refuse_repeats(raw: RawFolder) -> None:
    for one, other in zip(raw.sources, raw.sources[1:], strict=False):
        if one.index == other.index:
            raise DataError(
                f"scene {one.index} is there twice: {one.path} and {other.path}",
                "keep one of them",
            )


def picture_paths(source: SceneSource, annotation: dict[str, object], release: str) -> list[Path]:
    """The paths of a scene's image and of its mask."""
    path = Path(source.path)
    if release == "v1":
        return [path.with_suffix(".png"), path.with_name(f"{path.stem}_flat.png")]
    mask = annotation.get("mask_filename")
    if not isinstance(mask, str) or not mask or Path(mask).name != mask:
        raise DataError(f"{source}: 'mask_filename' is not a file's name", "restore the scene")
    return [path.with_name(f"{path.stem}_{V2_FRAME}"), path.with_name(f"{mask}_{V2_FRAME}")]
