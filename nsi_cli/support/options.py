"""Options, declared once: a dataclass field carries its type with bounds, help and default.

The command-line flag, its help text, the YAML key, the check and the default are all derived
from these declarations. This module imports nothing heavy, so that ``nsi --help`` stays fast;
pydantic is imported only when values are checked.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import reprlib
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import PurePath
from typing import Any, TypeVar

from nsi_cli.support.errors import ConfigError, one_line

_KEY = "nsi"
_MAX_LISTED = 20
"""The most unknown keys that an error lists."""

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Option:
    """What a field declares beside its type and default: help, and the group of its flag."""

    help: str
    pattern: tuple[str, str] | None = None  # a regular expression and its description
    group: str = "Options"
    changes_images: bool = False
    old_name: str = ""


@dataclasses.dataclass(frozen=True)
class Declared:
    """One declared option of a dataclass: name, type, default and declaration.

    ``type`` is the annotation without the bounds of ``annotation``. ``field`` is the name of the
    dataclass field. ``name`` is the same without a ``_`` at its end, which a field needs if a
    method has its name.
    """

    name: str
    field: str
    type: Any
    annotation: Any
    default: Any
    option: Option

    @property
    def flag(self) -> str:
        """The command-line spelling, for example ``--batch-size``."""
        return "--" + self.name.replace("_", "-")

    @property
    def choices(self) -> tuple[str, ...]:
        """The words that the option takes; empty unless its type is a `typing.Literal`."""
        return typing.get_args(self.type) if typing.get_origin(self.type) is typing.Literal else ()

    @property
    def bounds(self) -> dict[str, float]:
        """The bounds of a number by their names, ``ge``, ``gt``, ``le`` and ``lt``."""
        parts = (self.annotation, *typing.get_args(self.annotation))
        bounds = [item for part in parts for item in getattr(part, "__metadata__", ())]
        values = {key: value for item in bounds for key, value in dataclasses.asdict(item).items()}
        return {key: value for key, value in values.items() if value is not None}


def option(
    default: Any,
    *,
    help: str,
    pattern: tuple[str, str] | None = None,
    group: str = "Options",
    changes_images: bool = False,
    old_name: str = "",
) -> Any:
    """Declare a dataclass field as an option.

    Its type says what it takes: ``Annotated[int, Interval(ge=1, le=99)]`` (from annotated_types)
    bounds a number, ``Literal["front", "side"]`` lists words. ``pattern`` restricts a text: a
    regular expression, and its meaning in words for the error. ``group`` is the heading of the
    flag in ``--help``. An option of a schema builder with ``changes_images`` changes the images of
    the same scenes, so that evaluating a model on a store with another value gives a warning.
    ``old_name`` is a former name, which flags and files may still use.
    """
    declared = Option(help, pattern, group, changes_images, old_name)
    return dataclasses.field(default=default, metadata={_KEY: declared})


def declared_options(cls: type) -> tuple[Declared, ...]:
    """Return the options of a dataclass, in order, without fields not made with `option`."""
    bare, full = (typing.get_type_hints(cls, include_extras=extras) for extras in (False, True))
    return tuple(
        Declared(
            field.name.rstrip("_"),
            field.name,
            bare[field.name],
            full[field.name],
            field.default,
            field.metadata[_KEY],
        )
        for field in dataclasses.fields(cls)
        if _KEY in field.metadata
    )


def did_you_mean(name: str, known: typing.Iterable[str]) -> str:
    """Return ``did you mean 'x'?`` for the nearest known name, or an empty string."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean '{near[0]}'?" if near else ""


def check_options(
    cls: type[T],
    values: Mapping[str, Any],
    *,
    where: str,
    flags: Collection[str] = (),
    **fixed: Any,
) -> T:
    """Check raw values against a dataclass's options and build the instance.

    ``where`` names the origin of the values in the error; it may be empty. Faults spell the names
    in ``flags`` as on the command line. ``fixed`` contains fields that are not options. All faults
    are reported at once: unknown keys with the nearest known one, wrong types, values out of
    bounds. Raises `ConfigError`.
    """
    declared = declared_options(cls)
    known = {item.name for item in declared}
    renamed = {item.option.old_name: item.name for item in declared if item.option.old_name}
    values = {str(key).replace("-", "_"): value for key, value in values.items()}
    values = {renamed.get(key, key): value for key, value in values.items()}
    faults = _unknown([key for key in values if key not in known], known)
    spelt = {item.name: item.flag for item in declared if item.name in flags}
    checked, more = _validated(cls, {key: values[key] for key in values if key in known}, spelt)
    faults += more
    if not faults:
        fields = {item.name: item.field for item in declared}
        instance = cls(**fixed, **{fields[name]: value for name, value in checked.items()})
        found = [text.partition(":") for text in getattr(instance, "faults", list)()]
        faults = [spelt.get(name, name) + colon + rest for name, colon, rest in found]
        if not faults:
            return instance
    raise ConfigError((f"{where}: " if where else "") + "; ".join(faults), hint=_hint(faults))


def _hint(faults: list[str]) -> str:
    more = f"{len(faults)} faults, all listed above; " if len(faults) > 1 else ""
    return more + "the command's --help lists every option with its type and default"


def _unknown(keys: Sequence[str], known: set[str]) -> list[str]:
    """Return a fault for each of the first keys, and one for all others."""
    faults = []
    for key in map(one_line, keys[:_MAX_LISTED]):
        near = did_you_mean(key, known)
        faults.append(f"unknown key '{key}'" + (f" ({near})" if near else ""))
    more = len(keys) - len(faults)
    return [*faults, f"{more:,} more unknown keys"] if more else faults


def _validated(
    cls: type, values: dict[str, Any], spelt: Mapping[str, str]
) -> tuple[dict[str, Any], list[str]]:
    """Return the values in their declared types, and the faults of invalid ones.

    ``spelt`` has names that faults spell otherwise.
    """
    from pydantic import ValidationError

    try:
        return dict(_adapter(cls).validate_python(values)), []
    except ValidationError as error:
        return {}, [_fault(item, spelt) for item in error.errors(include_url=False)]


def _fault(error: Any, spelt: Mapping[str, str]) -> str:
    name = error["loc"][0] if error["loc"] else "value"
    name = spelt.get(name, name)
    text = str(error["msg"]).removeprefix("Value error, ")
    return f"{name}: {text[:1].lower()}{text[1:]}, not {reprlib.repr(error['input'])}"


def _adapter(cls: type) -> Any:
    """Return a pydantic adapter for the options of ``cls``; each may be omitted."""
    from pydantic import ConfigDict, TypeAdapter
    from typing_extensions import TypedDict  # before Python 3.12, pydantic needs this one

    fields = {item.name: _constrained(item) for item in declared_options(cls)}
    make_type: Any = TypedDict
    shape = make_type(f"{cls.__name__}Values", fields, total=False)
    shape.__pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)
    return TypeAdapter(shape)


def _constrained(item: Declared) -> Any:
    """Return the declared type with its bounds, for pydantic."""
    from pydantic import AfterValidator, BeforeValidator

    checks: list[Any] = []
    if item.option.pattern:
        checks.append(AfterValidator(_matches(*item.option.pattern)))
    if item.choices or item.option.pattern:
        checks.append(BeforeValidator(_as_word))
    if bool not in (item.type, *typing.get_args(item.type)):
        checks.append(BeforeValidator(_refuse_bool))
    kind = item.annotation
    for check in checks:
        kind = typing.Annotated[kind, check]
    return kind


def _refuse_bool(value: Any) -> Any:
    if isinstance(value, bool):  # pydantic would convert it to a number
        raise ValueError(
            "a number or word is needed (YAML reads on, off, yes and no as true and "
            "false unless they are in quotes)"
        )
    return value


def _matches(expression: str, words: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        if re.fullmatch(expression, value) is None:
            raise ValueError(f"must be {words}")
        return value

    return check


def _as_word(value: Any) -> Any:
    """Return an integer as text, because YAML reads words of digits as numbers."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def plain(instance: Any) -> dict[str, Any]:
    """Return the options of an instance as plain values for YAML or JSON."""
    options = declared_options(type(instance))
    return {item.name: _plain(getattr(instance, item.field)) for item in options}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return str(value) if isinstance(value, PurePath) else value
