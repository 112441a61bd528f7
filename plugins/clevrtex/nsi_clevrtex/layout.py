"""Where the two releases of CLEVRTex keep their files."""

from __future__ import annotations

import os
import re
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args, overload

import numpy as np

from nsi_clevrtex.texts import Texts
from nsi_cli.plugins import DataError

Variant = Literal["full", "outd", "camo", "pbg", "vbg", "grassbg"]
Release = Literal["v1", "v2"]
VARIANTS: tuple[Variant, ...] = get_args(Variant)
RELEASES: tuple[Release, ...] = get_args(Release)

FOLDERS = {"v1": "clevrtex", "v2": "clevrtexv2"}
STEMS = {"v1": "CLEVRTEX", "v2": "CLEVRTEXv2"}
V2_FRAME = "0003.png"  # the frame number that Blender appended to every picture of v2


@dataclass(frozen=True, slots=True)
class SceneSource:
    """One raw scene: its index in the dataset and the path of its JSON."""

    index: int
    path: str

    def __str__(self) -> str:
        return Path(self.path).stem


class SceneSources(Sequence[SceneSource]):
    """Raw scenes ordered by index; each is made when it is asked for, so that they take little."""

    def __init__(self, found: Iterable[SceneSource]) -> None:
        indices, self._paths = array("q"), Texts()
        for source in found:
            indices.append(source.index)
            self._paths.append(source.path)
        unordered = np.array(indices, np.int64)
        self._order = np.argsort(unordered, kind="stable")
        self.indices = unordered[self._order]

    def __len__(self) -> int:
        return len(self.indices)

    @overload
    def __getitem__(self, place: int) -> SceneSource: ...

    @overload
    def __getitem__(self, place: slice) -> list[SceneSource]: ...

    def __getitem__(self, place: int | slice) -> SceneSource | list[SceneSource]:
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(len(self)))]
        index = int(self.indices[place])  # which tells where the sequence ends
        return SceneSource(index, self._paths[int(self._order[place])])


@dataclass(frozen=True)
class RawFolder:
    """The scenes of one variant in one release, found under a folder."""

    release: str
    folder: Path
    sources: SceneSources


def find_scenes(raw: Path, variant: str, release: str) -> RawFolder:
    """The scenes of a variant under ``raw``, ordered by index whatever order the disk has.

    ``raw`` is the folder that holds ``clevrtex_full`` (v1) or ``clevrtexv2_full`` (v2), or that
    folder itself; ``release`` is v1, v2 or auto. Raises `DataError` if there is none.
    """
    if not raw.is_dir():
        raise DataError(
            f"no raw folder at {raw}",
            "fetch CLEVRTex with --download, unpack it there, or render scenes with --synthetic N",
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
            f"clevrtexv2_{variant}/0/… (v2); --variant names another",
        )
    if len(found) > 1:
        raise DataError(f"both releases lie under {raw}", "choose one with --release v1 or v2")
    _refuse_repeats(found[0])
    return found[0]


def _find(raw: Path, variant: str, release: str) -> list[RawFolder]:
    found = []
    for one in RELEASES if release == "auto" else (release,):
        for folder in (raw / f"{FOLDERS[one]}_{variant}", raw):
            pattern = re.compile(rf"{STEMS[one]}_{variant}_([0-9]{{6,}})\.json")
            sources = SceneSources(_sources(folder, pattern, one))
            if sources:
                found.append(RawFolder(one, folder, sources))
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
    for place in np.flatnonzero(np.diff(raw.sources.indices) == 0).tolist():
        one, other = raw.sources[place], raw.sources[place + 1]
        raise DataError(
            f"scene {one.index} is there twice: {one.path} and {other.path}", "keep one of them"
        )


def mask_name(source: SceneSource, annotation: Mapping[str, object], release: str) -> str:
    """The name by which the JSON of v2 speaks of the mask; nothing in v1. Raises `DataError`."""
    if release == "v1":
        return ""
    mask = annotation.get("mask_filename")
    if not isinstance(mask, str) or not mask or Path(mask).name != mask:
        raise DataError(f"{source}: 'mask_filename' is not a file's name", "restore the scene")
    return mask


def picture_paths(scene: str, mask: str, release: str) -> tuple[Path, Path]:
    """The paths of the image and the mask of a scene, from that of its JSON and `mask_name`."""
    path = Path(scene)
    if release == "v1":
        return path.with_suffix(".png"), path.with_name(f"{path.stem}_flat.png")
    return path.with_name(f"{path.stem}_{V2_FRAME}"), path.with_name(f"{mask}_{V2_FRAME}")
