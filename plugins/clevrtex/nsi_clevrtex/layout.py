"""The file layouts of the two releases of CLEVRTex."""

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
V2_FRAME = "0003.png"  # the frame number that Blender appended to every image of v2

RESTORE = "restore the scene from the archive, or remove it"


@dataclass(frozen=True, slots=True)
class SceneSource:
    """One raw scene: its index in the dataset and the path of its JSON."""

    index: int
    path: str

    def __str__(self) -> str:
        return Path(self.path).stem


class SceneSources(Sequence[SceneSource]):
    """Raw scenes ordered by index; each is created on access, to save memory."""

    def __init__(self, sources: Iterable[SceneSource]) -> None:
        indices, self._paths = array("q"), Texts()
        for source in sources:
            indices.append(source.index)
            self._paths.append(source.path)
        unordered = np.array(indices, np.int64)
        self._order = np.argsort(unordered, kind="stable")
        self.indices = unordered[self._order]

    def __len__(self) -> int:
        return len(self.indices)

    @overload
    def __getitem__(self, position: int) -> SceneSource: ...

    @overload
    def __getitem__(self, position: slice) -> list[SceneSource]: ...

    def __getitem__(self, position: int | slice) -> SceneSource | list[SceneSource]:
        if isinstance(position, slice):
            return [self[index] for index in range(*position.indices(len(self)))]
        index = int(self.indices[position])  # raises IndexError beyond the end
        return SceneSource(index, self._paths[int(self._order[position])])


@dataclass(frozen=True)
class RawFolder:
    """The scenes of one variant in one release, in a folder."""

    release: str
    folder: Path
    sources: SceneSources


def find_scenes(raw: Path, variant: str, release: str) -> RawFolder:
    """Return the scenes of a variant under ``raw``, ordered by index.

    ``raw`` is the folder that contains ``clevrtex_full`` (v1) or ``clevrtexv2_full`` (v2), or
    that folder itself; ``release`` is v1, v2 or auto. Raises `DataError` if there are no scenes.
    """
    if not raw.is_dir():
        raise DataError(
            f"no raw folder at {raw}",
            "get CLEVRTex with --download, unpack it there, or render scenes with --synthetic N",
        )
    try:
        folders = _find(raw, variant, release)
    except OSError as error:
        raise DataError(
            f"the raw folder {raw} cannot be read: {error.strerror}", "check its permissions"
        ) from None
    if not folders:
        raise DataError(
            f"no scenes of variant '{variant}' under {raw}",
            f"expected {raw / 'clevrtex_'}{variant}/0/CLEVRTEX_{variant}_000000.json (v1) or "
            f"clevrtexv2_{variant}/0/… (v2); choose another variant with --variant",
        )
    if len(folders) > 1:
        raise DataError(f"both releases are under {raw}", "choose one with --release v1 or v2")
    _refuse_duplicates(folders[0])
    return folders[0]


def _find(raw: Path, variant: str, release: str) -> list[RawFolder]:
    folders = []
    for candidate in RELEASES if release == "auto" else (release,):
        for folder in (raw / f"{FOLDERS[candidate]}_{variant}", raw):
            pattern = re.compile(rf"{STEMS[candidate]}_{variant}_([0-9]{{6,}})\.json")
            sources = SceneSources(_sources(folder, pattern, candidate))
            if sources:
                folders.append(RawFolder(candidate, folder, sources))
                break
    return folders


def _sources(folder: Path, pattern: re.Pattern[str], release: str) -> Iterator[SceneSource]:
    for subfolder in _folders(folder):
        for path in _folders(subfolder) if release == "v2" else [subfolder]:
            with os.scandir(path) as entries:
                for entry in entries:
                    if match := pattern.fullmatch(entry.name):
                        yield SceneSource(int(match[1]), entry.path)


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return [Path(entry.path) for entry in entries if entry.is_dir()]


def _refuse_duplicates(raw: RawFolder) -> None:
    for position in np.flatnonzero(np.diff(raw.sources.indices) == 0).tolist():
        one, other = raw.sources[position], raw.sources[position + 1]
        raise DataError(
            f"scene {one.index} exists twice: {one.path} and {other.path}", "keep one of them"
        )


def mask_name(source: SceneSource, annotation: Mapping[str, object], release: str) -> str:
    """Return the mask's name in the JSON of v2; empty for v1. Raises `DataError`."""
    if release == "v1":
        return ""
    mask = annotation.get("mask_filename")
    if not isinstance(mask, str) or not mask or Path(mask).name != mask:
        raise DataError(f"{source}: 'mask_filename' is not a file name", RESTORE)
    return mask


def picture_paths(scene: str, mask: str, release: str) -> tuple[Path, Path]:
    """Return the paths of a scene's image and mask, from its JSON's path and `mask_name`."""
    path = Path(scene)
    if release == "v1":
        return path.with_suffix(".png"), path.with_name(f"{path.stem}_flat.png")
    return path.with_name(f"{path.stem}_{V2_FRAME}"), path.with_name(f"{mask}_{V2_FRAME}")
