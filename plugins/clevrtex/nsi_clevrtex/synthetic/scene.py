"""What a scene is made of, drawn from one random generator: view, lights, objects, materials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nsi_clevrtex.synthetic.camera import Camera
from nsi_clevrtex.synthetic.lights import Lights
from nsi_clevrtex.synthetic.placement import Placement, place

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

FEWEST_OBJECTS = 3
GRASS = "poliigongroundforest003"
BLANK = "tabularasa"
COLOURED = ("rubber", "mymetal")


@dataclass(frozen=True)
class Thing:
    """An object: where it stands and what it is made of."""

    placement: Placement
    material: str
    color: str

    @property
    def tint(self) -> tuple[int, int, int]:
        """Colour that the texture is multiplied with: white unless the material takes a colour."""
        return COLORS[self.color] if self.material in COLOURED else (255, 255, 255)


@dataclass(frozen=True)
class SceneLayout:
    """All that decides a picture; `things[i]` has the mask value i + 1."""

    camera: Camera
    lights: Lights
    ground: str
    things: tuple[Thing, ...]


@dataclass(frozen=True)
class Choice:
    """What may be drawn: the variant, the materials and the most objects of a scene."""

    variant: str
    materials: tuple[str, ...]
    max_objects: int

    def ground(self, rng: np.random.Generator) -> str:
        """The ground's material."""
        if self.variant == "pbg":
            return BLANK
        if self.variant == "grassbg":
            return GRASS
        return _pick(rng, self.materials)

    def object_materials(self, ground: str) -> tuple[str, ...]:
        """Objects never share the ground's material, or they would be lost in it; except in
        `camo`, if that is the point."""
        if self.variant == "camo":
            return (ground,)
        if self.variant == "vbg":
            return COLOURED
        return tuple(name for name in self.materials if name != ground) or self.materials


def propose(rng: np.random.Generator, choice: Choice, count: int) -> SceneLayout:
    """A layout of `count` objects; whether each is seen well enough only the renderer can tell."""
    camera = Camera.sample(rng)
    lights = Lights.sample(rng)
    axes = camera.ground_axes()
    while (placements := place(rng, count, axes)) is None:
        pass
    ground = choice.ground(rng)
    allowed = choice.object_materials(ground)
    things = tuple(Thing(p, _pick(rng, allowed), _pick(rng, tuple(COLORS))) for p in placements)
    return SceneLayout(camera, lights, ground, things)


def _pick(rng: np.random.Generator, names: Sequence[str]) -> str:
    return names[int(rng.integers(len(names)))]
