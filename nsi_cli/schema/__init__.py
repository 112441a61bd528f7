"""Properties, schemas and the layout of a primitive; pure Python and numpy."""

from nsi_cli.schema.properties import Categorical, Continuous, Property
from nsi_cli.schema.schema import Schema

__all__ = ["Categorical", "Continuous", "Property", "Schema"]
