"""One colour a slot, the same wherever the slot is shown."""

from __future__ import annotations

# Chosen by farthest-point search in OKLab, distances taken as the least over normal sight and
# simulated protanopia, deuteranopia and tritanopia (Machado et al. 2009), light and dark enough
# to show on photographs and on either page.
SLOT_COLOURS = (
    "#2087df",
    "#e78f68",
    "#20e78f",
    "#bf0010",
    "#e7ef00",
    "#785097",
    "#ffafd7",
    "#788f00",
    "#70afff",
    "#f7588f",
    "#aff7c7",
    "#3850d7",
    "#a76060",
    "#b7c720",
    "#b78fc7",
)


def slot_colour(slot: int) -> str:
    """The colour of a slot; beyond the fifteenth they come again, and its number tells it apart."""
    return SLOT_COLOURS[slot % len(SLOT_COLOURS)]


def ink_on(colour: str) -> str:
    """Black or white, whichever reads better on a colour (WCAG relative luminance)."""
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (value / 255 for value in bytes.fromhex(colour.removeprefix("#")))
    )
    return "#000" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 else "#fff"
