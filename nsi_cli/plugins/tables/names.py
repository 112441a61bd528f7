"""What the names of columns and folders say."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

BoxFormat = Literal["xywh", "xyxy", "cxcywh"]

MOST_IN_MASK = 255
"""The most objects of a mask, whose values have 8 bits."""

SPLITS = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "tst"), "test"),
}
"""The split that a word means, in lower case."""

SPLIT_COLUMNS = ("split", "subset", "set", "partition", "phase", "usage")
IMAGE_COLUMNS = (
    "file_name", "filename", "image", "image_path", "image_file", "image_name", "image_filename",
    "img", "img_path", "img_name", "img_file", "path", "file", "filepath", "file_path", "frame",
    "picture", "photo", "image_id", "img_id",
)  # fmt: skip
MASK_COLUMNS = (
    "mask", "mask_file", "mask_path", "mask_name", "mask_filename", "mask_file_name",
    "segmentation", "segmentation_file", "segmentation_path", "instance_mask", "seg", "seg_file",
)  # fmt: skip
MASK_VALUE_COLUMNS = (
    "mask_value", "mask_id", "mask_index", "mask_label", "instance", "instance_id",
    "instance_value", "segment_id", "pixel_value", "value",
)  # fmt: skip
MASK_FOLDERS = ("mask", "masks", "segmentation", "segmentations", "seg", "instances", "labels")

_IDS = re.compile(r"(.*_)?(id|ids|uuid|guid|idx|index|no|nr|hash|md5|sha\d*|unnamed_0|row|fold)")
_CATEGORIES = re.compile(
    r"(.*_)?(class|category|cat|label|type|kind|species|name|color|colour|shape|material|code)"
    r"(_(id|idx|index|no|code|number))?"
)
_QUANTITIES = re.compile(
    r"(.*_)?(x|y|z|w|h|u|v|width|height|depth|length|len|area|volume|radius|diameter|angle|yaw"
    r"|pitch|roll|rotation|orientation|heading|theta|scale|size|weight|mass|speed|velocity"
    r"|distance|dist|score|confidence|prob|probability|price|temperature|age|count|total|lat|lon"
    r"|latitude|longitude|alpha|beta|gamma|brightness|hue|saturation)(_.*)?|(n|num)_.*"
)
_TIMES = re.compile(r"(.*_)?(timestamp|datetime|date|time|created|updated|modified)(_at)?")
_SUFFIX = re.compile(r"\.(png|jpe?g|bmp|gif|tiff?|webp|ppm)", re.IGNORECASE)

_BOX_PREFIXES = ("", "bbox", "box", "bb", "bounding_box", "rect", "boundingbox")
_BOX_PARTS: dict[BoxFormat, str] = {
    "xyxy": "xmin ymin xmax ymax, x_min y_min x_max y_max, min_x min_y max_x max_y, x1 y1 x2 y2, "
    "x_1 y_1 x_2 y_2, x0 y0 x1 y1, left top right bottom",
    "cxcywh": "cx cy w h, cx cy width height, xc yc w h, x_center y_center width height, "
    "x_center y_center w h, center_x center_y width height, center_x center_y w h, "
    "xcenter ycenter width height",
    "xywh": "x y w h, x y width height, left top width height, xmin ymin width height, "
    "x_min y_min width height, x1 y1 w h, x1 y1 width height",
}
_BOX_LIST = re.compile(
    r"(bbox|box|bounding_box|boundingbox|bb|rect|rectangle)(_(xywh|xyxy|cxcywh))?"
)
_AXES = (("x", "y", "z"), ("x", "y"), ("r", "g", "b"), ("u", "v"), ("0", "1", "2", "3"),
         ("0", "1", "2"), ("0", "1"), ("1", "2", "3"), ("1", "2"))  # fmt: skip


def plain(name: str) -> str:
    """Return a column's name in lower case, with ``_`` for all but letters and digits.

    >>> plain("BBox.XMin (px)")
    'bbox_xmin_px'
    """
    return re.sub(r"[\W_]+", "_", name.strip().lower()).strip("_")


def means_id(name: str) -> bool:
    """Whether a name is that of an identifier, and not of a category's number."""
    return bool(_IDS.fullmatch(plain(name))) and not means_category(name)


def means_category(name: str) -> bool:
    """Whether a name is that of a category, so that its numbers are codes."""
    return bool(_CATEGORIES.fullmatch(plain(name)))


def means_quantity(name: str) -> bool:
    """Whether a name is that of a quantity, so that few different numbers are no categories."""
    return bool(_QUANTITIES.fullmatch(plain(name)))


def means_time(name: str) -> bool:
    """Whether a name is that of a point in time."""
    return bool(_TIMES.fullmatch(plain(name)))


def is_image_file(text: str) -> bool:
    """Whether a text ends like the name of an image file."""
    return bool(_SUFFIX.search(text[-6:])) and bool(_SUFFIX.fullmatch(text[text.rfind(".") :]))


def size_columns(names: Iterable[str], *, bare: bool) -> tuple[str, str] | None:
    """Return the columns of the image's width and height; ``width`` alone counts if ``bare``."""
    by_name = {plain(name): name for name in names}
    for prefix in ("image_", "img_", "frame_", "original_", *([""] if bare else [])):
        for width, height in (("width", "height"), ("w", "h")):
            if prefix + width in by_name and prefix + height in by_name:
                return by_name[prefix + width], by_name[prefix + height]
    return None


def box_columns(names: Iterable[str]) -> tuple[BoxFormat, tuple[str, ...]] | None:
    """Return the four columns of a box and their meaning, if names say so."""
    by_name = {plain(name): name for name in names}
    for prefix in _BOX_PREFIXES:
        for form, listed in _BOX_PARTS.items():
            for parts in listed.split(", "):
                wanted = [f"{prefix}_{part}".strip("_") for part in parts.split()]
                if wanted[0] == "x" and "z" in by_name:
                    continue  # x, y and z are a position
                if all(name in by_name for name in wanted):
                    return form, tuple(by_name[name] for name in wanted)
    return None


def box_list(name: str) -> tuple[bool, BoxFormat | None]:
    """Return whether a column of lists is a box, and the format if its name says so."""
    match = _BOX_LIST.fullmatch(plain(name))
    form = match[3] if match else None
    return match is not None, form  # type: ignore[return-value]


def vector_columns(names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the columns of each vector by its name: ``pos_x``, ``pos_y``, ``pos_z`` are ``pos``.

    ``x``, ``y`` and ``z`` alone are the vector ``position``.
    """
    by_name = {plain(name): name for name in names}
    vectors: dict[str, tuple[str, ...]] = {}
    used: set[str] = set()
    for axes in _AXES:
        for name in list(by_name):
            stem = name.removesuffix(axes[0])
            if not name.endswith(axes[0]) or (axes[0].isdigit() and not stem.endswith("_")):
                continue
            if stem and not stem.endswith("_"):
                continue
            parts = [f"{stem}{axis}" for axis in axes]
            if all(part in by_name and part not in used for part in parts):
                title = stem.rstrip("_") or ("color" if axes[0] == "r" else "position")
                vectors[title] = tuple(by_name[part] for part in parts)
                used.update(parts)
    return vectors
