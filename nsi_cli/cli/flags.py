"""Flags made from declared options, so that a flag's help and default are written only once."""

from __future__ import annotations

import copy
import dataclasses
import functools
import importlib
import inspect
import typing
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

from nsi_cli.support.errors import PluginError

if TYPE_CHECKING:
    from nsi_cli.support.options import Declared

Function = TypeVar("Function", bound=Callable[..., Any])

_DECLARED_BY = "__nsi_declared_by__"

_DEFAULT = " [dim]\\[default: "
"""What precedes a default in the text of help."""

_METAVARS = {bool: "", int: "N", float: "X", Path: "PATH"}
"""What help shows for the value of a flag, by its type; TEXT for others."""


class _PlainHelp:
    """A command whose help writes types, bounds and defaults of all flags in one style."""

    def get_params(self, ctx: Any) -> list[Any]:
        """All parameters, ``--help`` among them; a switch has no type."""
        parameters: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for parameter in parameters:
            if getattr(parameter, "is_flag", False):
                parameter.metavar = ""
        return parameters

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The parts of the usage line, without Typer's braces around required arguments."""
        pieces: list[str] = super().collect_usage_pieces(ctx)  # type: ignore[misc]
        return [piece.replace("{", "").replace("}", "") for piece in pieces]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help of a copy, so that parsing still sees the flags as they are declared."""
        shown = copy.copy(self)
        shown.params = [_as_shown(item) for item in self.params]  # type: ignore[attr-defined]
        super(_PlainHelp, shown).format_help(ctx, formatter)  # type: ignore[misc]


def _as_shown(parameter: Any) -> Any:
    """A parameter for help: its bounds and its default are part of the text."""
    shown = copy.copy(parameter)
    low, high = getattr(parameter, "min", None), getattr(parameter, "max", None)
    text, mark, rest = (getattr(parameter, "help", None) or "").partition(_DEFAULT)
    text += _bounds_in_words(low, high) + mark + rest
    if getattr(parameter, "show_default", False):
        text += default_shown(getattr(parameter, "default", None))
    shown.help, shown.show_default = text, False
    shown.min = shown.max = None
    if parameter.param_type_name == "argument":  # its metavar says it
        shown.display_type_rich = lambda ctx: None
    if parameter.secondary_opts:  # --[no-]compile
        shown.opts = [f"--[no-]{opt[2:]}" for opt in parameter.opts]
        shown.secondary_opts = []
    return shown


class PlainCommand(_PlainHelp, TyperCommand):
    """A command of nsi."""


class PlainGroup(_PlainHelp, TyperGroup):
    """A group of commands of nsi."""


def with_flags_of(reference: str) -> Callable[[Function], Function]:
    """Give a command with ``**options`` a flag for each option of a dataclass.

    ``reference`` is ``"module:Class"``; it is imported by `command_of`, once the command is run,
    so that the list of commands need not wait for it.
    """

    def decorate(function: Function) -> Function:
        setattr(function, _DECLARED_BY, reference)
        return function

    return decorate


def command_of(name: str, function: Callable[..., Any], help: str | None = None) -> Any:
    """The command that runs a function, with all of its flags."""
    reference = getattr(function, _DECLARED_BY, None)
    if reference:
        module, _, attribute = reference.partition(":")
        cls = getattr(importlib.import_module(module), attribute)
        function = with_flags(function, cls, negatable=True)
    single = typer.Typer(
        add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False
    )
    single.command(name, cls=PlainCommand, help=help)(function)
    return typer.main.get_command(single)


def stub_of(name: str, text: str) -> TyperCommand:
    """What a list of commands shows of one, made without its flags."""
    return TyperCommand(name, help=text, rich_markup_mode="rich")


def with_flags(
    function: Callable[..., Any],
    cls: type,
    *,
    panel: str = "",
    hidden: Collection[str] = (),
    negatable: bool = False,
) -> Callable[..., Any]:
    """The function, its ``**options`` spelt out as a flag for each option that ``cls`` declares.

    It receives the flags that were given, and None for each other. ``panel`` is the heading of
    those that name no group themselves. The function's own flags that are ``hidden`` are not in
    the help. With ``negatable``, a switch that is off by default has a ``--no-`` form too, because
    a config file can turn it on. Raises `PluginError` for an option that the function has already.
    """
    from nsi_cli.support.options import declared_options

    signature = inspect.signature(function, eval_str=True)
    own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    declared = declared_options(cls)
    flags = [_flag(item, panel, negatable) for item in declared]
    taken = sorted({p.name for p in own} & {p.name for p in flags})
    if taken:
        raise PluginError(
            f"{cls.__module__}.{cls.__qualname__} declares an option '{taken[0]}', which the "
            "command has itself",
            "give the option another name",
        )
    own = [_hidden(p) if p.name in hidden else p for p in own]
    old = [
        _hidden(_flag(dataclasses.replace(item, name=item.option.old_name), panel, negatable))
        for item in declared
        if item.option.old_name
    ]
    parameters = sorted([*own, *flags, *old], key=lambda p: p.kind)

    @functools.wraps(function)
    def call(**values: Any) -> Any:
        return function(**values)

    call.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {p.name: p.annotation for p in parameters}
    return call


def _hidden(parameter: inspect.Parameter) -> inspect.Parameter:
    kind, info = typing.get_args(parameter.annotation)
    info = copy.copy(info)
    info.hidden = True
    return parameter.replace(annotation=Annotated[kind, info])


def _flag(item: Declared, panel: str, negatable: bool) -> inspect.Parameter:
    spec, text = item.option, item.option.help
    if item.choices:
        text += f" One of: {', '.join(item.choices)}."
    bounds = item.bounds
    low, high = (bounds.get(name, bounds.get(open)) for name, open in (("ge", "gt"), ("le", "lt")))
    text += _bounds_in_words(low, high)
    text += default_shown(item.default)
    heading = panel if panel and spec.group == "Options" else spec.group
    both = item.type is bool and (negatable or item.default)
    info = typer.Option(
        f"{item.flag}/--no-{item.flag[2:]}" if both else item.flag,
        help=text,
        show_default=False,
        rich_help_panel=heading,
        metavar="NAME" if item.choices else _metavar(item.type),
    )
    return inspect.Parameter(
        item.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[item.type | None, info],
    )


def _metavar(kind: Any) -> str:
    """What help shows for a value of a type, or of a type that may be None."""
    kinds = [kind, *typing.get_args(kind)]
    return next((_METAVARS[one] for one in kinds if one in _METAVARS), "TEXT")


def _bounds_in_words(low: float | None, high: float | None) -> str:
    """The allowed range, where it is not evident.

    A lower bound of 0 or 1 is evident. Large upper bounds are not shown: they only catch mistakes,
    and the error names them.
    """
    low = low if low is not None and low > 1 else None
    high = high if high is not None and 1 < high <= 1000 else None
    if low is None and high is None:
        return ""
    if low is None or high is None:
        return f" (at least {low:g})" if high is None else f" (at most {high:g})"
    return f" ({low:g} to {high:g})"


def default_shown(default: object) -> str:
    """How help shows a default; empty if there is none, and for a switch that is off."""
    if default is None or default is False or default in ("", ()):
        return ""
    return f"{_DEFAULT}{'on' if default is True else default}][/dim]"


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """The flags that were given."""
    return {name: value for name, value in values.items() if value is not None}
