"""The colours of slots, under the name by which the pages import them."""

from nsi_cli.interpretation.colours import SLOT_COLOURS, ink_on, slot_colour

__all__ = ["SLOT_COLOURS", "ink_on", "slot_colour"]
