"""Synthetic CLEVRTex: scenes in the dataset's file layout, ray-cast with NumPy.

They are for demonstrations and tests that cannot wait for the download. Views, shapes, sizes,
placement rules and files follow the dataset. The materials have its names but are procedural
textures, and the monkey replaces Blender's (see `shapes`). Results on these scenes do not hold for
the real ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from nsi_clevrtex.synthetic.materials import MATERIALS

__all__ = ["MATERIALS", "VARIANTS", "render_scenes"]

VARIANTS: tuple[str, ...] = ("full", "camo", "pbg", "vbg", "grassbg")

MAX_OBJECTS = 10


def render_scenes(
    raw: Path,
    count: int,
    *,
    seed: int,
    release: str = "v1",
    variant: str = "full",
    materials: Sequence[str] | None = None,
    max_objects: int = MAX_OBJECTS,
    workers: int = 1,
    advance: Callable[[int], None] | None = None,
) -> None:
    """Write scenes 0 to `count` - 1 under `raw`, each as an image, a mask and a JSON file.

    The folder is `clevrtex_{variant}/` (release `v1`) or `clevrtexv2_{variant}/` (`v2`). A scene's
    bytes depend only on `seed`, its index, and the options that determine its content, not on
    `count`, `workers` or the order of work. Existing files are overwritten with the same bytes.
    `materials` limits the vocabulary, and `max_objects` (3 to 10) the number of objects. `advance`
    is called with the number of scenes written since the previous call.

    Raises `ValueError` for an invalid release, variant, material or number.
    """
    from nsi_clevrtex.synthetic.files import RELEASES
    from nsi_clevrtex.synthetic.produce import Job, produce
    from nsi_clevrtex.synthetic.scene import MIN_OBJECTS, Choice

    _require(release in RELEASES, f"release {release!r} is none of {', '.join(RELEASES)}")
    _require(variant in VARIANTS, f"variant {variant!r} is none of {', '.join(VARIANTS)}")
    _require(count >= 0, f"count must not be negative, not {count}")
    in_range = MIN_OBJECTS <= max_objects <= MAX_OBJECTS
    _require(in_range, f"max_objects must be {MIN_OBJECTS} to {MAX_OBJECTS}, not {max_objects}")
    chosen = MATERIALS if materials is None else tuple(sorted(set(materials)))
    _require(bool(chosen), "materials must not be empty")
    unknown = sorted(set(chosen) - set(MATERIALS))
    _require(not unknown, f"unknown materials: {', '.join(unknown)}")
    job = Job(Path(raw), seed, release, Choice(variant, chosen, max_objects))
    produce(job, count, workers, advance)


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)
