"""The colour of each slot, the same wherever the slot is shown."""

from __future__ import annotations

# The first five are the brand of the report; the others were found by simulated annealing. Any two
# differ by at least 10 in CIEDE2000, and two with neighbouring numbers by 24, to normal sight and
# under simulated protanopia, deuteranopia and tritanopia (Machado et al. 2009). Light and dark
# enough to be visible on photographs and on a light or dark page.
SLOT_COLOURS = (
    "#2087df", "#f7df48", "#af4000", "#70d7f7", "#f7808f", "#8b4775", "#20a45e", "#8d6ea5",
    "#afcb72", "#b495bf", "#647643", "#79bda5", "#784ba9", "#97a3ff", "#17735e", "#fdc0d2",
    "#8e8907", "#1e46fc", "#a6ad10", "#b65773", "#adecb8", "#af7a94",
)  # fmt: skip


def slot_colour(slot: int) -> str:
    """The colour of a slot; colours repeat after the last one, and the number tells them apart."""
    return SLOT_COLOURS[slot % len(SLOT_COLOURS)]


def ink_on(colour: str) -> str:
    """Black or white, whichever reads better on a colour (WCAG relative luminance)."""
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (value / 255 for value in bytes.fromhex(colour.removeprefix("#")))
    )
    return "#000" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 else "#fff"
