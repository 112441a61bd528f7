"""A schema: the ordered properties of an object, which define the layout of a primitive."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from nsi_cli.schema.properties import MAX_COUNT, Categorical, Continuous, Property, is_count
from nsi_cli.support.errors import ConfigError, SchemaError
from nsi_cli.support.options import did_you_mean

Value = str | float | Sequence[float] | None
Primitives = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Schema:
    """The ordered properties of an object, and the largest number of objects in a scene.

    A primitive is a row of `width` float32: the ids of the categorical properties, then the values
    of the continuous ones, each group in schema order.

    >>> schema = Schema((Continuous("x", 1, -1, 1), Categorical("shape", ("cube", "ball"))), 2)
    >>> schema.encode([{"x": 0.5, "shape": "ball"}]).tolist()
    [[1.0, 0.5]]
    """

    properties: tuple[Property, ...]
    max_objects: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "properties", tuple(self.properties))
        for item in self.properties:
            if not isinstance(item, Categorical | Continuous):
                raise SchemaError(
                    f"a property is Categorical or Continuous, not {item!r}",
                    "for example Categorical('shape', ('cube', 'sphere'))",
                )
        names = [item.name for item in self.properties]
        if not names or len(set(names)) != len(names):
            raise SchemaError(
                f"a schema needs properties with different names, not {names}",
                "give each attribute its own name",
            )
        if not is_count(self.max_objects):
            raise SchemaError(
                f"max_objects must be a whole number from 1 to {MAX_COUNT:,}, "
                f"not {self.max_objects!r}",
                "it is the largest number of objects in a scene",
            )

    @cached_property
    def categorical(self) -> tuple[Categorical, ...]:
        """The categorical properties, in schema order."""
        return tuple(item for item in self.properties if isinstance(item, Categorical))

    @cached_property
    def continuous(self) -> tuple[Continuous, ...]:
        """The continuous properties, in schema order."""
        return tuple(item for item in self.properties if isinstance(item, Continuous))

    @cached_property
    def columns(self) -> dict[str, slice]:
        """The columns of each property in a primitive, by name."""
        columns, start = {}, 0
        ordered: tuple[Property, ...] = (*self.categorical, *self.continuous)
        for item in ordered:
            columns[item.name] = slice(start, start + item.columns)
            start += item.columns
        return columns

    @cached_property
    def width(self) -> int:
        """The number of columns of a primitive."""
        return sum(item.columns for item in self.properties)

    @cached_property
    def fingerprint(self) -> str:
        """A short hash of the schema; equal schemas have equal fingerprints."""
        text = json.dumps(self.to_json(), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def __getitem__(self, name: str) -> Property:
        """Return the property of that name. Raises `SchemaError` if there is none."""
        for item in self.properties:
            if item.name == name:
                return item
        names = [item.name for item in self.properties]
        raise SchemaError(
            f"no property '{name}'", did_you_mean(name, names) or f"known: {', '.join(names)}"
        )

    def without(self, names: Sequence[str]) -> Schema:
        """Return the schema without some properties; the others keep their order.

        Raises `ConfigError` for an unknown name, or if no property is left.
        """
        known = list(self.columns)
        for name in names:
            if name not in known:
                raise ConfigError(
                    f"no property '{name}' to exclude",
                    did_you_mean(name, known) or f"known: {', '.join(known)}",
                )
        remaining = tuple(item for item in self.properties if item.name not in names)
        if not remaining:
            raise ConfigError("every property is excluded", f"keep one of {', '.join(known)}")
        return Schema(remaining, self.max_objects)

    def encode(self, objects: Sequence[Mapping[str, Value]]) -> Primitives:
        """Encode objects, mappings from property name to value, as primitives (n, width).

        None is a missing value. Raises `SchemaError` for a missing or unknown property, a value
        that does not fit, or more than `max_objects` objects.
        """
        if len(objects) > self.max_objects:
            raise SchemaError(
                f"a scene has {len(objects)} objects, but max_objects is {self.max_objects}",
                "increase max_objects in the schema",
            )
        rows = np.zeros((len(objects), self.width), dtype=np.float32)
        for number, (values, row) in enumerate(zip(objects, rows, strict=True), start=1):
            try:
                self._encode_one(values, row)
            except SchemaError as error:
                raise SchemaError(f"object {number}: {error.message}", error.hint) from None
        return rows

    def _encode_one(self, values: Mapping[str, Value], row: Primitives) -> None:
        faults = [f"no '{name}'" for name in self.columns if name not in values]
        faults += [f"unknown '{name}'" for name in values if name not in self.columns]
        if faults:
            raise SchemaError(
                "properties do not match the schema: " + ", ".join(faults),
                f"an object has {', '.join(self.columns)}; None is a missing value",
            )
        for item in self.properties:
            row[self.columns[item.name]] = item.encode(values[item.name])  # type: ignore[arg-type]

    def decode(self, primitives: npt.ArrayLike) -> list[dict[str, Any]]:
        """Decode primitives (n, width) to objects; the inverse of `encode` up to float32."""
        rows = np.asarray(primitives, dtype=np.float32)
        if rows.ndim != 2 or rows.shape[1] != self.width:
            raise SchemaError(
                f"primitives of shape {rows.shape} do not fit a schema of width {self.width}",
                "a row is an object, with one column for each id and each number",
            )
        return [self._decode_one(row) for row in rows]

    def _decode_one(self, row: Primitives) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for item in self.properties:
            part = row[self.columns[item.name]].tolist()
            values[item.name] = item.decode(part[0] if isinstance(item, Categorical) else part)
        return values

    def to_json(self) -> dict[str, Any]:
        """Return the schema as JSON values; the inverse of `from_json`."""
        return {
            "max_objects": self.max_objects,
            "properties": [_property_to_json(item) for item in self.properties],
        }

    @staticmethod
    def from_json(data: Any) -> Schema:
        """Return the schema that `to_json` wrote. Raises `SchemaError` for anything else."""
        try:
            items = tuple(_property_from_json(item) for item in data["properties"])
            return Schema(items, data["max_objects"])
        except (KeyError, TypeError, ValueError) as error:
            raise SchemaError(
                f"not a schema: {type(error).__name__} {error}", "build the store again"
            ) from None


def _property_to_json(item: Property) -> dict[str, Any]:
    if isinstance(item, Categorical):
        return {"kind": "categorical", "name": item.name, "values": list(item.values)}
    return {
        "kind": "continuous",
        "name": item.name,
        "size": item.size,
        "low": list(item.lows),
        "high": list(item.highs),
    }


def _property_from_json(data: Mapping[str, Any]) -> Property:
    if data["kind"] == "categorical":
        return Categorical(data["name"], data["values"])
    if data["kind"] == "continuous":
        return Continuous(data["name"], data["size"], tuple(data["low"]), tuple(data["high"]))
    raise SchemaError(f"unknown kind of property '{data['kind']}'", "categorical or continuous")
