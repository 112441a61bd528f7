"""Flags made from declared options, so that a flag's help and default are written only once."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar

import typer

from nsi_cli.options import Declared, declared_options

Function = TypeVar("Function", bound=Callable[..., Any])


def with_options(cls: type) -> Callable[[Function], Function]:
    """Give a command with ``**options`` a flag for each option that ``cls`` declares.

    The command receives the flags that were given, and None for each other.
    """

    def decorate(function: Function) -> Function:
        signature = inspect.signature(function, eval_str=True)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        flags = [_flag(item) for item in declared_options(cls)]
        parameters = sorted([*own, *flags], key=lambda p: p.kind)
        function.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        function.__annotations__ = {p.name: p.annotation for p in parameters}
        return function

    return decorate


def _flag(item: Declared) -> inspect.Parameter:
    said = item.option
    kind: Any = typing.Literal[said.choices] if said.choices else item.type
    told = said.help + _bounds(item)
    if item.default not in ("", None, ()):
        told += default_shown(item.default)
    info = typer.Option(item.flag, help=told, show_default=False, rich_help_panel=said.group)
    return inspect.Parameter(
        item.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind | None, info],
    )


def _bounds(item: Declared) -> str:
    """What numbers are allowed, said only where it is not plain from the help."""
    said = item.option
    signs = (("≥", said.ge), (">", said.gt), ("≤", said.le), ("<", said.lt))
    told = ", ".join(f"{sign} {bound:g}" for sign, bound in signs if bound not in (None, 0, 1))
    return f" ({told})" if told else ""


def default_shown(default: object) -> str:
    """How help tells a default that Typer cannot know, since the flag itself is None."""
    return f" [dim]\\[default: {default}][/dim]"


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """The flags that were given."""
    return {name: value for name, value in values.items() if value is not None}
