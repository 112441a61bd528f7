"""The colours of slots are told apart, by colour-blind readers too, and numbers stay readable."""

from __future__ import annotations

import numpy as np
import pytest

from nsi_cli.interpretation.colours import SLOT_COLOURS, ink_on, slot_colour

# Machado, Oliveira & Fernandes 2009, severity 1; applied to linear RGB.
SIGHTS = {
    "normal": np.eye(3),
    "protanopia": np.array([[0.152286, 1.052583, -0.204868],
                            [0.114503, 0.786281, 0.099216],
                            [-0.003882, -0.048116, 1.051998]]),
    "deuteranopia": np.array([[0.367322, 0.860646, -0.227968],
                              [0.280085, 0.672501, 0.047413],
                              [-0.011820, 0.042940, 0.968881]]),
    "tritanopia": np.array([[1.255528, -0.076749, -0.178779],
                            [-0.078411, 0.930809, 0.147602],
                            [0.004733, 0.691367, 0.303900]]),
}  # fmt: skip

_XYZ = np.array([[0.4124564, 0.3575761, 0.1804375],
                 [0.2126729, 0.7151522, 0.0721750],
                 [0.0193339, 0.1191920, 0.9503041]])  # fmt: skip


def linear_rgb(colours: tuple[str, ...]) -> np.ndarray:
    """sRGB colours in hexadecimal as linear RGB, (n, 3)."""
    values = np.array([list(bytes.fromhex(colour[1:])) for colour in colours]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(colours: tuple[str, ...], sight: str = "normal") -> np.ndarray:
    """Colours in CIELAB, (n, 3), as someone with that sight sees them; the white is D65."""
    seen = np.clip(linear_rgb(colours) @ SIGHTS[sight].T, 0, 1)
    xyz = seen @ _XYZ.T / _XYZ.sum(1)
    x, y, z = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116).T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)


def ciede2000(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The difference of CIELAB colours (…, 3) (Sharma, Wu & Dalal 2005), (…)."""
    (l1, a1, b1), (l2, a2, b2) = np.moveaxis(one, -1, 0), np.moveaxis(other, -1, 0)
    mean7 = ((np.hypot(a1, b1) + np.hypot(a2, b2)) / 2) ** 7
    stretch = 1.5 - 0.5 * np.sqrt(mean7 / (mean7 + 25.0**7))
    c1, c2 = np.hypot(stretch * a1, b1), np.hypot(stretch * a2, b2)
    h1, h2 = np.arctan2(b1, stretch * a1), np.arctan2(b2, stretch * a2)
    turn = (h2 - h1 + np.pi) % (2 * np.pi) - np.pi
    hue = np.degrees(h1 + turn / 2)
    light, chroma = (l1 + l2) / 2 - 50, (c1 + c2) / 2

    def cosine(factor: float, shift: float) -> np.ndarray:
        return np.cos(np.radians(factor * hue + shift))

    t = 1 - 0.17 * cosine(1, -30) + 0.24 * cosine(2, 0)
    t += 0.32 * cosine(3, 6) - 0.2 * cosine(4, -63)
    by_light = (l2 - l1) / (1 + 0.015 * light**2 / np.sqrt(20 + light**2))
    by_chroma = (c2 - c1) / (1 + 0.045 * chroma)
    by_hue = 2 * np.sqrt(c1 * c2) * np.sin(turn / 2) / (1 + 0.015 * chroma * t)
    bell = np.exp(-((((hue % 360) - 275) / 25) ** 2))
    rotation = -2 * np.sqrt(chroma**7 / (chroma**7 + 25.0**7)) * np.sin(np.radians(60 * bell))
    return np.sqrt(by_light**2 + by_chroma**2 + by_hue**2 + rotation * by_chroma * by_hue)


def differences(sight: str) -> np.ndarray:
    """The difference between any two colours of slots, (n, n), infinite on the diagonal."""
    seen = lab(SLOT_COLOURS, sight)
    return ciede2000(seen[:, None], seen[None]) + np.diag([np.inf] * len(seen))


def test_the_difference_is_that_of_the_published_examples() -> None:
    one = np.array(
        [[50, 2.6772, -79.7751], [50, 0, 0], [50, 2.49, -0.001], [2.0776, 0.0795, -1.1350]]
    )
    other = np.array(
        [[50, 0, -82.7485], [50, -1, 2], [50, -2.49, 0.0011], [0.9033, -0.0636, -0.5514]]
    )
    np.testing.assert_allclose(ciede2000(one, other), [2.0425, 2.3669, 7.2195, 0.9082], atol=1e-4)


def test_twenty_two_slots_have_their_own_colours_and_any_slot_has_one() -> None:
    assert len(set(SLOT_COLOURS)) == 22
    assert slot_colour(22) == slot_colour(0)


@pytest.mark.parametrize("sight", SIGHTS)
def test_colours_are_told_apart_and_neighbouring_numbers_easily(sight: str) -> None:
    apart = differences(sight)
    assert apart.min() > 10
    assert np.diag(apart, 1).min() > 24


def test_colours_are_neither_too_light_nor_too_dark_for_a_photograph() -> None:
    light = lab(SLOT_COLOURS)[:, 0]
    assert light.min() > 38
    assert light.max() < 91


@pytest.mark.parametrize("colour", SLOT_COLOURS)
def test_a_number_on_a_colour_has_contrast(colour: str) -> None:
    ink = {"#000": "#000000", "#fff": "#ffffff"}[ink_on(colour)]
    dark, light = sorted(linear_rgb((colour, ink)) @ _XYZ[1])
    assert (light + 0.05) / (dark + 0.05) > 4.5  # WCAG 2, level AA
