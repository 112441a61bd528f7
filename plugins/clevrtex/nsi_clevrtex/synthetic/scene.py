"""The random layout of a scene: its camera, lights, objects and materials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nsi_clevrtex.synthetic.camera import Camera
from nsi_clevrtex.synthetic.lights import Lights
from nsi_clevrtex.synthetic.placement import Placement, place_objects

COLORS: dict[str, tuple[int, int, int]] = {
    "gray": (87, 87, 87),
    "red": (173, 35, 35),
    "blue": (42, 75, 215),
    "green": (29, 105, 20),
    "brown": (129, 74, 25),
    "purple": (129, 38, 192),
    "cyan": (41, 208, 208),
    "yellow": (255, 238, 51),
}

MIN_OBJECTS = 3
GRASS = "poliigongroundforest003"
BLANK = "tabularasa"
COLOURED = ("rubber", "mymetal")


@dataclass(frozen=True)
class SceneObject:
    """An object: its placement, material and colour."""

    placement: Placement
    material: str
    color: str

    @property
    def tint(self) -> tuple[int, int, int]:
        """The colour that multiplies the texture; white unless the material has a free colour."""
        return COLORS[self.color] if self.material in COLOURED else (255, 255, 255)


@dataclass(frozen=True)
class SceneLayout:
    """Everything that determines an image; `objects[i]` has the mask value i + 1."""

    camera: Camera
    lights: Lights
    ground: str
    objects: tuple[SceneObject, ...]


@dataclass(frozen=True)
class Choice:
    """The options of a random scene: variant, materials and largest number of objects."""

    variant: str
    materials: tuple[str, ...]
    max_objects: int

    def ground(self, rng: np.random.Generator) -> str:
        """Return the ground's material."""
        if self.variant == "pbg":
            return BLANK
        if self.variant == "grassbg":
            return GRASS
        return _pick(rng, self.materials)

    def object_materials(self, ground: str) -> tuple[str, ...]:
        """Return the materials that objects may have.

        The ground's material is excluded, so that objects stay visible, except in `camo`.
        """
        if self.variant == "camo":
            return (ground,)
        if self.variant == "vbg":
            return COLOURED
        return tuple(name for name in self.materials if name != ground) or self.materials


def propose(rng: np.random.Generator, choice: Choice, count: int) -> SceneLayout:
    """Return a random layout of `count` objects; whether each is visible is not checked."""
    camera = Camera.sample(rng)
    lights = Lights.sample(rng)
    axes = camera.ground_axes()
    while (placements := place_objects(rng, count, axes)) is None:
        pass
    ground = choice.ground(rng)
    allowed = choice.object_materials(ground)
    objects = tuple(
        SceneObject(p, _pick(rng, allowed), _pick(rng, tuple(COLORS))) for p in placements
    )
    return SceneLayout(camera, lights, ground, objects)


def _pick(rng: np.random.Generator, names: Sequence[str]) -> str:
    return names[int(rng.integers(len(names)))]
