"""The sixty materials of CLEVRTex's `full` variant, each as a recipe for a small texture.

This is pure data without NumPy, so that listing the names is fast. A recipe names a pattern of
`regular` or `organic`, its palette (dark to light, by the pattern's tone), and the accent colour of
mortar, gaps, cracks, veins, rust or chips. The recipes illustrate the names; they do not imitate
the dataset's photographs.
"""
# ruff: noqa: E501 (a table with one material per line)

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Recipe:
    """The parameters of a material's texture.

    `relief` is the strength of the baked bumps, `gloss` that of the highlight, both about 0 to 1.
    `parameters` go to the pattern's function as keyword arguments.
    """

    pattern: str
    palette: tuple[str, ...]
    accent: str
    relief: float = 0.5
    gloss: float = 0.0
    parameters: Mapping[str, float] = field(default_factory=dict)


def _recipe(
    pattern: str,
    palette: str,
    accent: str,
    relief: float = 0.5,
    gloss: float = 0.0,
    **parameters: float,
) -> Recipe:
    return Recipe(pattern, tuple(palette.split()), accent, relief, gloss, parameters)


_STEMS: dict[str, Recipe] = {
    "bricks01": _recipe("bricks", "8f3a22 c96a42", "c9beac", rows=6, columns=3),
    "bricksflemishred001": _recipe("bricks", "5e0f18 b3262b", "261a1a", rows=8, columns=4, gap=0.03),
    "brickspaintedwhite001": _recipe("bricks", "dad8d0 fbfaf5", "8b9299", 0.9, rows=6, columns=3),
    "carpettwistnatural001": _recipe("chevron", "8d7a58 d6c298 f0e2bd", "6c5b3c", bands=10, teeth=5),
    "chainmailcopperroundedthin001": _recipe("rings", "6a3013 d67a3e ffc08c", "140b08", 0.8, 0.5, count=5),
    "citystreetasphaltgenericcracked002": _recipe("cells", "46474a 626468", "101012", 0.2, count=14, gap=0.05, grain=0.9),
    "citystreetroadasphalttwolaneworn001": _recipe("lanes", "3d3c3a 5c5a55", "f0c22e", 0.2),
    "cliffjagged004": _recipe("strata", "54473c 94816a cbbb9d", "2f2620", 1.2, layers=5),
    "cobblestonearches002": _recipe("scales", "707783 aeb4bc", "302f2d", 1.0, rows=6, gap=0.2),
    "concretewall001": _recipe("bricks", "8a8d8b b3b5b0", "4e5251", 0.4, rows=2, columns=2, shift=0, gap=0.015, grain=0.9, holes=1),
    "fabricdenim003": _recipe("twill", "17284f 3d60a6 a5bbdf", "17284f", threads=20),
    "fabricfleece001": _recipe("clumps", "a884b8 d9c0e4 f1e4f5", "a884b8", 0.9, frequency=16),
    "fabricleatherbuffalorustic001": _recipe("cells", "52290f 8a5028", "24110a", 0.9, 0.25, count=150, gap=0.03),
    "fabricrope001": _recipe("rope", "a07c3c e3c684", "3c2a10", 0.9, strands=4),
    "fabricupholsterybrightanglepattern001": _recipe("chevron", "e8336f ffd23c 19b5a8 fbf6ea", "fbf6ea", 0.1, bands=8, teeth=2, steps=4),
    "groundclay002": _recipe("cells", "b0592c dd8f58", "5a2511", 0.7, count=40, gap=0.06),
    "grounddirtforest014": _recipe("chips", "33251a 5f452e", "b08f4e", 0.7, count=70, size=0.045, slender=2.2),
    "grounddirtrocky002": _recipe("chips", "6f5038 94714e", "c4bfb6", 1.0, count=38, size=0.075, slender=1.3),
    "groundforest003": _recipe("blades", "2c4a12 5d8c26 a5c957", "1d300c", 0.7, count=420, size=0.07, slender=6),
    "groundforest008": _recipe("chips", "31361a 525a2a", "dd7f24", 0.7, count=60, size=0.075, slender=1.8),
    "groundforestmulch001": _recipe("blades", "34150d 7f3f22 d08a58", "1d0b06", 0.9, count=220, size=0.09, slender=3),
    "groundforestroots001": _recipe("veins", "33291d 5a4a34", "b39a74", 1.0, frequency=4, width=0.22),
    "groundmoss001": _recipe("clumps", "174d14 3d9a28 8bd850", "174d14", 0.8, frequency=11),
    "groundsnowpitted003": _recipe("pits", "d3e4f6 ffffff", "7fa6d6", 0.9, count=46, size=0.05),
    "groundtiretracks001": _recipe("treads", "6c5038 95744f", "35261a", 0.8),
    "interiordesignrugstarrynight001": _recipe("swirls", "0e1d5e 2a5bc4 7fb6ea", "fbd944", 0.2),
    "marble062": _recipe("veins", "0c4434 1f7557", "dcefe4", 0.1, 0.5, frequency=3, width=0.07),
    "marble13": _recipe("veins", "e39c94 f6cfc4", "8a2f3d", 0.1, 0.5, frequency=4, width=0.09),
    "metalcorrodedheavy001": _recipe("patches", "3c5052 86a0a0", "7d3410", 0.9, 0.2, frequency=5, share=0.5),
    "metalcorrugatedironsheet002": _recipe("corrugated", "5d6c78 cfdbe4", "4c5862", 0.7, 0.4, waves=7),
    "metaldesignerweavesteel002": _recipe("weave", "50545a e8ebee", "0c0d10", 0.8, 0.5, threads=8),
    "metalpanelrectangular001": _recipe("bricks", "516a8a 7593ba", "1f2937", 0.5, 0.4, rows=4, columns=2, shift=0, gap=0.02, grain=0.15, holes=1),
    "metalspottydiscoloration001": _recipe("pits", "8d84ad b9b0d4", "44306b", 0.1, 0.4, count=60, size=0.055),
    "metalstainlesssteelbrushed": _recipe("grain", "8d9397 f4f6f7", "8d9397", 0.2, 0.5, frequency=10, stretch=24),
    "plaster07": _recipe("clumps", "dcc08c f3e2bb", "dcc08c", 0.5, frequency=4),
    "plaster17": _recipe("strokes", "6fb0b0 a9d8d3", "6fb0b0", 0.9, count=90),
    "roadcityworn001": _recipe("patches", "26282c 3c3f44", "787b7f", 0.4, 0.0, frequency=7, share=0.25),
    "rooftilesterracotta004": _recipe("scales", "a83c16 f08a4c", "36120a", 0.9, rows=8, gap=0.1),
    "rustmixedonpaint012": _recipe("patches", "1f7f8c 48b4ba", "a8481a", 0.6, 0.1, frequency=4, share=0.36),
    "rustplain007": _recipe("clumps", "5c2208 b9561a f0a050", "5c2208", 0.5, frequency=22),
    "solarpanelspolycrystallinetypebframedclean001": _recipe("bricks", "0b1550 2546a8", "dbe3ee", 0.1, 0.5, rows=4, columns=4, shift=0, gap=0.02, facets=1),
    "stonebricksbeige015": _recipe("bricks", "c4a878 ecd9b4", "7c6844", 0.9, rows=4, columns=2, gap=0.05, grain=0.7),
    "stonemarblecalacatta004": _recipe("veins", "efe9dd fdfbf6", "a08a5c", 0.1, 0.5, frequency=2, width=0.1),
    "terrazzovenetianmattewhite001": _recipe("terrazzo", "f3f0ea d9825c 6b8f80 2d2d33", "f3f0ea", 0.0, 0.2, count=120, size=0.04),
    "tiles05": _recipe("checks", "1f6fa8 eef5f8", "b9c0c2", 0.3, 0.4, rows=6, gap=0.02),
    "tilesmarblechevroncreamgrey001": _recipe("chevron", "efe4c8 a6a49f", "efe4c8", 0.2, 0.4, bands=6, teeth=3, steps=2),
    "tilesmarblesagegreenbrickbondhoned001": _recipe("bricks", "84a881 b5cfae", "f2f6ee", 0.2, 0.2, rows=8, columns=2, gap=0.03),
    "tilesonyxopaloblack001": _recipe("bricks", "07070a 24242e", "8d7a55", 0.2, 0.7, rows=3, columns=3, shift=0, gap=0.015),
    "tilesrectangularmirrorgray001": _recipe("bricks", "7d8894 e6eef6", "333940", 0.8, 0.7, rows=8, columns=3, shift=0, gap=0.05),
    "wallmedieval003": _recipe("cells", "6b5a40 a08a64", "ded4ba", 0.9, count=34, gap=0.12),
    "waterdropletsmixedbubbled001": _recipe("droplets", "2586c0 7fd2f2", "e8f8ff", 0.9, 0.7, count=60, size=0.07),
    "woodfinedark004": _recipe("grain", "180c07 4a2817", "180c07", 0.3, 0.1, frequency=8, stretch=10),
    "woodflooring044": _recipe("planks", "a5703a deb074", "4c2e13", rows=6, columns=2),
    "woodflooring061": _recipe("planks", "857c6d c4bba8", "3f3a31", rows=3, columns=1),
    "woodflooringmahoganyafricansanded001": _recipe("planks", "5c1410 a03a26", "26070a", 0.4, 0.2, rows=5, columns=1),
    "woodflooringmerbaubrickbondnatural001": _recipe("planks", "753a14 b86c2c", "301405", 0.4, 0.1, rows=8, columns=4, shift=0.5),
    "woodplanks028": _recipe("planks", "d29c2c f6d878", "6b480e", rows=4, columns=1, knots=8),
    "woodplanksworn33": _recipe("planks", "5f7078 b4c4c6", "20272a", 1.0, rows=6, columns=1, grain=1.0),
    "woodquarteredchiffon001": _recipe("grain", "e4c8a8 faeedd", "e4c8a8", 0.2, 0.1, frequency=14, stretch=14),
}  # fmt: skip

PLAIN: dict[str, Recipe] = {
    "tabularasa": _recipe("plain", "b4b4b4", "b4b4b4"),
    "rubber": _recipe("plain", "ffffff", "ffffff"),
    "mymetal": _recipe("plain", "ffffff", "ffffff", gloss=1.0),
}
"""Textureless materials of the `pbg` and `vbg` variants; the last two have the object's colour."""

RECIPES: dict[str, Recipe] = {
    **{f"poliigon{stem}": recipe for stem, recipe in _STEMS.items()},
    "whitemarble": _recipe("veins", "e6e9ef ffffff", "9aa3b3", 0.1, 0.5, frequency=5, width=0.06),
}

MATERIALS: tuple[str, ...] = tuple(sorted(RECIPES))
