"""Synthetic CLEVRTex: scenes in the dataset's own file layout, ray-cast in NumPy.

For demonstrations and tests that must not wait for the download. Views, shapes, sizes, placement
rules and files follow the dataset; the materials carry its names but are procedural textures, and
the monkey is a stand-in for Blender's (see `shapes`). Numbers measured on these scenes say nothing
about the real ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from nsi_clevrtex.synthetic.materials import MATERIALS

__all__ = ["MATERIALS", "VARIANTS", "render_scenes"]

VARIANTS: tuple[str, ...] = ("full", "camo", "pbg", "vbg", "grassbg")

MOST_OBJECTS = 10


def render_scenes(
    raw: Path,
    count: int,
    *,
    seed: int,
    release: str = "v1",
    variant: str = "full",
    materials: Sequence[str] | None = None,
    max_objects: int = MOST_OBJECTS,
    workers: int = 1,
    advance: Callable[[int], None] | None = None,
) -> None:
    """Writes scenes 0 to `count` - 1 under `raw`, each a picture, a mask and a JSON file.

    `raw` receives `clevrtex_{variant}/` (release `v1`) or `clevrtexv2_{variant}/` (`v2`). A scene's
    bytes depend on `seed`, its index and the options that say what is drawn; `count`, `workers` and
    the order of work change nothing, and existing files are overwritten with themselves.
    `materials` restricts the vocabulary, `max_objects` (3 to 10) the number of objects, `advance`
    is called with how many more scenes are done.

    Raises `ValueError` for a release, variant, material or number that does not exist.
    """
    from nsi_clevrtex.synthetic.files import RELEASES
    from nsi_clevrtex.synthetic.produce import Job, produce
    from nsi_clevrtex.synthetic.scene import FEWEST_OBJECTS, Choice

    _require(release in RELEASES, f"release {release!r} is none of {', '.join(RELEASES)}")
    _require(variant in VARIANTS, f"variant {variant!r} is none of {', '.join(VARIANTS)}")
    _require(count >= 0, f"count must not be negative, not {count}")
    in_range = FEWEST_OBJECTS <= max_objects <= MOST_OBJECTS
    _require(in_range, f"max_objects must be {FEWEST_OBJECTS} to {MOST_OBJECTS}, not {max_objects}")
    chosen = MATERIALS if materials is None else tuple(sorted(set(materials)))
    _require(bool(chosen), "materials must name at least one")
    unknown = sorted(set(chosen) - set(MATERIALS))
    _require(not unknown, f"unknown materials: {', '.join(unknown)}")
    job = Job(Path(raw), seed, release, Choice(variant, chosen, max_objects))
    produce(job, count, workers, advance)


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)
