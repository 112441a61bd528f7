"""A store built with the vocabulary of another: values keep their ids."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nsi_cli.data.store.record import SCHEMA, read_schema
from nsi_cli.schema import Categorical, Property, Schema
from nsi_cli.schema.properties import MISSING_ID
from nsi_cli.schema.scene import Scene
from nsi_cli.support.errors import ConfigError, DataError

SHOWN = 6
"""The most values of a property that an error lists."""


@dataclass(frozen=True)
class Vocabulary:
    """The schema of another store, and what to do with values that it lacks."""

    schema: Schema
    origin: str  # the folder it was read from
    new_values: str = "refuse"  # or "extend", or "drop"


def read_vocabulary(folder: Path | None, new_values: str = "refuse") -> Vocabulary | None:
    """The vocabulary of a store, or of a run; None without a ``folder``.

    Raises `ConfigError` for ``new_values`` without a folder, `DataError` if it has no schema.
    """
    if folder is None:
        if new_values == "refuse":
            return None
        raise ConfigError(
            f"--new-values {new_values} has no effect without --vocabulary",
            "name the store whose category ids are reused: --vocabulary STORE",
        )
    hint = "name a store that nsi build-data made, or a run of nsi train"
    schema = read_schema(folder / SCHEMA, "vocabulary", hint)
    return Vocabulary(schema, str(folder), new_values)


@dataclass(frozen=True)
class Translation:
    """Translates primitives from a builder's schema to the schema of a store."""

    own: Schema
    schema: Schema
    given: Vocabulary | None = None

    def apply(self, scene: Scene) -> Scene:
        """The scene in the store's schema.

        A value without an id becomes missing; the object stays, and the scene records the value.
        """
        if self.own == self.schema:
            return scene
        primitives = scene.primitives[:, self._columns]
        lost: list[tuple[str, str]] = []
        for item in self.own.categorical:
            column = primitives[:, self.schema.columns[item.name].start]
            ids = column.astype(np.int64)
            column[:] = self._new_ids[item.name][ids]
            unknown = ids[(column == MISSING_ID) & (ids != MISSING_ID)]
            lost += [(item.name, item.values[index]) for index in unknown]
        return replace(scene, primitives=primitives, lost=tuple(lost))

    def record(self) -> dict[str, Any]:
        """What ``build.json`` records of it; empty without a vocabulary."""
        if self.given is None:
            return {}
        record = {
            "origin": self.given.origin,
            "schema": self.given.schema.fingerprint,
            "added": _new_values(self.schema, self.given.schema),
        }
        return {"vocabulary": record}

    @cached_property
    def _columns(self) -> npt.NDArray[np.int64]:
        """The builder's column of each column of the store's primitives."""
        own = np.arange(self.own.width)
        return np.concatenate([own[self.own.columns[name]] for name in self.schema.columns])

    @cached_property
    def _new_ids(self) -> dict[str, npt.NDArray[np.float32]]:
        """The store's id of each of the builder's ids, by property; the last is for id −1."""
        stored = {item.name: item.values for item in self.schema.categorical}
        new_ids = {}
        for item in self.own.categorical:
            ids = {value: index for index, value in enumerate(stored[item.name])}
            of_values = [ids.get(value, MISSING_ID) for value in item.values]
            new_ids[item.name] = np.array([*of_values, MISSING_ID], np.float32)
        return new_ids


def translation(own: Schema, given: Vocabulary | None) -> Translation:
    """The translation from a builder's schema to itself or to a given vocabulary.

    Continuous properties take the bounds of the vocabulary. Raises `DataError` if the properties
    differ, if scenes may have more objects than fit, or for values that the vocabulary lacks
    unless they may be added or dropped.
    """
    if given is None:
        return Translation(own, own)
    _check_properties(own, given)
    new = _new_values(own, given.schema)
    if new and given.new_values == "refuse":
        listed = "; ".join(f"{name}: {_shortened(values)}" for name, values in new.items())
        raise DataError(
            f"the vocabulary of {given.origin} lacks values of this data: {listed}",
            "--new-values extend appends them to it, --new-values drop stores them as missing",
        )
    if given.new_values != "extend":
        return Translation(own, given.schema, given)
    items = tuple(
        replace(item, values=item.values + new.get(item.name, ()))
        if isinstance(item, Categorical)
        else item
        for item in given.schema.properties
    )
    most = max(own.max_objects, given.schema.max_objects)
    return Translation(own, Schema(items, most), given)


def _new_values(one: Schema, other: Schema) -> dict[str, tuple[str, ...]]:
    """The values of one schema, by property and sorted, that the other lacks."""
    known = {item.name: set(item.values) for item in other.categorical}
    new = {item.name: tuple(sorted({*item.values} - known[item.name])) for item in one.categorical}
    return {name: values for name, values in new.items() if values}


def _shortened(values: tuple[str, ...]) -> str:
    few = ", ".join(values[:SHOWN])
    return few if len(values) <= SHOWN else f"{few}, … ({len(values)} values)"


def _check_properties(own: Schema, given: Vocabulary) -> None:
    """Raise `DataError` unless both have the same properties, of the same kind and size."""
    kinds, given_kinds = (
        {item.name: _kind(item) for item in one.properties} for one in (own, given.schema)
    )
    faults = [f"it lacks '{name}'" for name in kinds if name not in given_kinds]
    faults += [f"this data lacks '{name}'" for name in given_kinds if name not in kinds]
    faults += [
        f"'{name}' is {given_kinds[name]} there, {kind} in this data"
        for name, kind in kinds.items()
        if given_kinds.get(name, kind) != kind
    ]
    if own.max_objects > given.schema.max_objects and given.new_values != "extend":
        faults.append(
            f"its scenes have up to {given.schema.max_objects} objects, those of this data up to "
            f"{own.max_objects}"
        )
    if faults:
        raise DataError(
            f"the vocabulary of {given.origin} does not fit this data: " + "; ".join(faults),
            "give the vocabulary of a store with the same properties, or build without one",
        )


def _kind(item: Property) -> str:
    return "categorical" if isinstance(item, Categorical) else f"continuous of size {item.size}"
