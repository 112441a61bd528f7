"""Flags made from declared options, so that a flag's help and default are written only once."""

from __future__ import annotations

import copy
import dataclasses
import functools
import importlib
import inspect
import typing
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

from nsi_cli.support.errors import PluginError
from nsi_cli.support.options import Declared, declared_options

Function = TypeVar("Function", bound=Callable[..., Any])

_DECLARED_BY = "__nsi_declared_by__"

LONGEST_METAVAR = 16
"""Characters of choices that help shows in place of a value's type."""


class _PlainSwitches:
    """A command whose help shows no type for a switch; Typer would show ``<bool>``."""

    def get_params(self, ctx: Any) -> list[Any]:
        """All parameters, ``--help`` among them."""
        parameters: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for parameter in parameters:
            if getattr(parameter, "is_flag", False):
                parameter.metavar = ""
        return parameters


class PlainCommand(_PlainSwitches, TyperCommand):
    """A command of nsi."""


class PlainGroup(_PlainSwitches, TyperGroup):
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
        function = with_flags(function, getattr(importlib.import_module(module), attribute))
    single = typer.Typer(
        add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False
    )
    single.command(name, cls=PlainCommand, help=help)(function)
    return typer.main.get_command(single)


def stub_of(name: str, function: Callable[..., Any]) -> TyperCommand:
    """What a list of commands shows of one, made without its flags."""
    return TyperCommand(name, help=inspect.getdoc(function), rich_markup_mode="rich")


def with_flags(
    function: Callable[..., Any], cls: type, *, panel: str = "", hidden: Collection[str] = ()
) -> Callable[..., Any]:
    """The function, its ``**options`` spelt out as a flag for each option that ``cls`` declares.

    It receives the flags that were given, and None for each other. ``panel`` is the
    heading of those that name no group themselves; the function's own flags that are ``hidden``
    stand in no help. Raises `PluginError` for an option that the
    function has already.
    """
    signature = inspect.signature(function, eval_str=True)
    own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    declared = declared_options(cls)
    flags = [_flag(item, panel) for item in declared]
    taken = sorted({p.name for p in own} & {p.name for p in flags})
    if taken:
        raise PluginError(
            f"{cls.__module__}.{cls.__qualname__} declares an option '{taken[0]}', which the "
            "command has itself",
            "give the option another name",
        )
    own = [_hidden(p) if p.name in hidden else p for p in own]
    old = [dataclasses.replace(d, name=d.option.old_name) for d in declared if d.option.old_name]
    parameters = sorted(
        [*own, *flags, *(_hidden(_flag(item, panel)) for item in old)], key=lambda p: p.kind
    )

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


def _flag(item: Declared, panel: str) -> inspect.Parameter:
    spec = item.option
    text = spec.help + _bounds(item)
    metavar = None
    if len("|".join(item.choices)) > LONGEST_METAVAR:  # it would squeeze the column of names
        metavar, text = "NAME", f"{text} One of: {', '.join(item.choices)}."
    if item.default not in ("", None, ()):
        text += default_shown(item.default)
    heading = panel if panel and spec.group == "Options" else spec.group
    # What a file turns on, a flag can turn off.
    spelt = f"{item.flag}/--no-{item.flag[2:]}" if item.type is bool else item.flag
    info = typer.Option(
        spelt, help=text, show_default=False, rich_help_panel=heading, metavar=metavar
    )
    return inspect.Parameter(
        item.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[item.type | None, info],
    )


def _bounds(item: Declared) -> str:
    """The allowed range, if the help does not say it.

    Large upper bounds are left out: they are there against mistakes, and the error names them.
    """
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    known = item.bounds.items()
    text = ", ".join(f"{signs[name]} {bound}" for name, bound in known if 1 < bound <= 1000)
    return f" ({text})" if text else ""


def default_shown(default: object) -> str:
    """How help tells a default that Typer cannot know, since the flag itself is None."""
    return f" [dim]\\[default: {default}][/dim]"


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """The flags that were given."""
    return {name: value for name, value in values.items() if value is not None}
