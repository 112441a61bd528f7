"""The three published releases: their archives, folders and file names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from nsi_cli.plugins import Archive, DataError

Variant = Literal["clevr", "hans3", "hans7"]
VARIANTS: tuple[Variant, ...] = get_args(Variant)

RESTORE = "restore the file from the archive, or remove the scene"


@dataclass(frozen=True)
class Release:
    """A release: where it is published, and where its files are in its folder.

    In ``scenes``, ``images`` and ``image_name``, which is a regular expression, ``{split}`` is the
    name of a published split.
    """

    title: str
    folder: str
    base: str
    splits: tuple[str, ...]
    """The published splits whose scenes are published too."""
    scenes: str
    images: str
    image_name: str
    classes: int = 0

    @property
    def archive(self) -> Archive:
        """Its archive; images of unlabelled splits and other files are not unpacked."""
        wanted = "|".join(
            f"{re.escape(self.scenes.format(split=split))}|"
            f"{re.escape(self.images.format(split=split))}/{self.image_name.format(split=split)}"
            for split in self.splits
        )
        return Archive(self.base, f"{self.folder}.zip", wanted, self.folder)

    def scene_lists(self, folder: Path) -> dict[str, Path]:
        """The JSON files of scenes that exist in its folder, by split."""
        paths = {split: folder / self.scenes.format(split=split) for split in self.splits}
        return {split: path for split, path in paths.items() if path.is_file()}

    def image_path(self, scene_list: Path, split: str, name: str) -> Path:
        """The path of an image, from the path of its split's JSON file."""
        above = len(Path(self.scenes).parts) - 1
        return scene_list.parents[above] / self.images.format(split=split) / name


def _hans(classes: int, item: int) -> Release:
    return Release(
        title=f"CLEVR-Hans{classes}",
        folder=f"CLEVR-Hans{classes}",
        base=f"https://tudatalib.ulb.tu-darmstadt.de/bitstream/handle/tudatalib/{item}",
        splits=("train", "val", "test"),
        scenes="{split}/CLEVR_HANS_scenes_{split}.json",
        images="{split}/images",
        image_name=r"CLEVR_Hans_classid_\d_\d{{6}}\.png",
        classes=classes,
    )


RELEASES: dict[str, Release] = {
    "clevr": Release(
        title="CLEVR v1.0",
        folder="CLEVR_v1.0",
        base="https://dl.fbaipublicfiles.com/clevr",
        splits=("train", "val"),
        scenes="scenes/CLEVR_{split}_scenes.json",
        images="images/{split}",
        image_name=r"CLEVR_{split}_\d{{6}}\.png",
    ),
    "hans3": _hans(3, 2611),
    "hans7": _hans(7, 2618),
}


def find_scene_lists(raw: Path, variant: str) -> dict[str, Path]:
    """The JSON files of a variant by split, in ``raw`` or in its folder in ``raw``.

    Raises `DataError` if there is none.
    """
    if not raw.is_dir():
        raise DataError(
            f"no raw folder at {raw}",
            "get the dataset with --download, or set --raw to the folder of the unpacked archive",
        )
    release = RELEASES[variant]
    for folder in _folders(raw, release):
        if found := release.scene_lists(folder):
            return found
    raise DataError(f"no scenes of {release.title} under {raw}", _hint(raw, release))


def _folders(raw: Path, release: Release) -> tuple[Path, Path]:
    return raw / release.folder, raw


def _hint(raw: Path, release: Release) -> str:
    for variant, other in RELEASES.items():
        # The files of the two releases of CLEVR-Hans have the same names.
        folders = _folders(raw, other)[: 1 if release.classes and other.classes else 2]
        if other is not release and any(other.scene_lists(folder) for folder in folders):
            return f"it contains {other.title}: --variant {variant}"
    expected = raw / release.folder / release.scenes.format(split="train")
    return f"expected {expected}; get the dataset with --download, or choose another --variant"
