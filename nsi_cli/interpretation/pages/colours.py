"""The colour of each slot, the same wherever the slot is shown."""

from __future__ import annotations

# Chosen by farthest-point search in OKLab. A distance is the smallest over normal sight and
# simulated protanopia, deuteranopia and tritanopia (Machado et al. 2009). Light and dark enough to
# be visible on photographs and on a light or dark page.
SLOT_COLOURS = (
    "#2087df", "#f7df48", "#af4000", "#70d7f7", "#f7808f", "#8748af", "#b7bf20", "#b78f48",
    "#afefbf", "#388058", "#ffaf87", "#00b7bf", "#9f97f7", "#c75880", "#8778af",
)  # fmt: skip


def slot_colour(slot: int) -> str:
    """The colour of a slot; colours repeat after the fifteenth, and the number tells them apart."""
    return SLOT_COLOURS[slot % len(SLOT_COLOURS)]


def ink_on(colour: str) -> str:
    """Black or white, whichever reads better on a colour (WCAG relative luminance)."""
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (value / 255 for value in bytes.fromhex(colour.removeprefix("#")))
    )
    return "#000" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 else "#fff"
