"""The ``nsi`` command itself: global options, its subcommands, and how errors are printed."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from nsi_cli import __version__
from nsi_cli.cli.context import AppContext
from nsi_cli.cli.flags import PlainGroup, command_of, stub_of
from nsi_cli.cli.output import survive_closed_terminal
from nsi_cli.support.errors import NsiError, interruptions_kept
from nsi_cli.support.processes import handle_stop_signals, is_first_process

COMMANDS = {
    "tasks": "List the tasks of all plugins, including broken ones.",
    "build-data": "Build a task's store from its raw data.",
    "train": "Train both encoders on a task's store.",
    "eval": "Evaluate runs: retrieval, grounding, segmentation, properties, probes.",
    "interpret": "Write a report as one HTML page: scenes with their slots, objects and retrieved "
    "images.",
    "export": "Export a run to a folder that can be used without its store.",
    "new-task": "Create a plugin for your own dataset: a working example to edit.",
    "demo": "Build, train, evaluate and report on synthetic scenes, in minutes, on a CPU.",
}
"""The subcommands, in the order of a user's way through them, with the first line of their help.

The module of a command is imported when the command is requested, so that the list of commands
need not wait for it.
"""

_USE_TORCH = ("train", "eval", "interpret", "export", "demo")
"""The commands that import torch."""


def function_of(name: str) -> Callable[..., object]:
    """The function behind a subcommand; it has the name of its module."""
    module = {"eval": "evaluate"}.get(name, name.replace("-", "_"))
    function: Callable[..., object] = getattr(import_module(f"nsi_cli.cli.{module}"), module)
    return function


class NsiGroup(PlainGroup):
    """The subcommands: listed without their flags, which are made when one is requested.

    Turns errors into one line, a hint and an exit code, for every subcommand alike.
    """

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {name: stub_of(name, text) for name, text in COMMANDS.items()}

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the global options."""
        with _usage_errors_in_one_line(ctx):
            rest: list[str] = super().parse_args(ctx, args)
        return rest

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The requested subcommand, with all its flags."""
        name, stub, rest = super().resolve_command(ctx, args)
        if name is None or stub is None:
            return name, stub, rest
        if name in _USE_TORCH and not {"-h", "--help"} & set(rest):
            from nsi_cli.support.threads import set_thread_defaults

            set_thread_defaults()
        if name == "build-data":
            from nsi_cli.cli.build_data import app

            return name, typer.main.get_command(app), rest
        return name, command_of(name, function_of(name)), rest

    def invoke(self, ctx: Any) -> Any:
        """Run the requested subcommand."""
        try:
            with interruptions_kept(), _usage_errors_in_one_line(ctx):
                return super().invoke(ctx)
        except NsiError as error:
            if is_first_process() or error.exit_code == 1:  # else all processes say the same
                _tell(error.message, error.hint, ctx)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            _tell("interrupted", "", ctx)
            raise typer.Exit(130) from None
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if hasattr(error, "format_message"):  # the help, which Typer prints
                raise
            reason = " ".join(str(error).split())
            _tell(f"{type(error).__name__}: {reason}", "run with --debug for the traceback", ctx)
            raise typer.Exit(1) from None


@contextmanager
def _usage_errors_in_one_line(ctx: Any) -> Iterator[None]:
    """Print usage errors like all others. Without arguments, Typer prints the help.

    Click's classes are private to Typer since 0.26, so they are known by what they have.
    """
    try:
        yield
    except Exception as error:
        usage: Any = error
        if not hasattr(error, "format_message") or type(error).__name__ == "NoArgsIsHelpError":
            raise
        where = usage.ctx or ctx
        path = " ".join(filter(None, (where.command_path, where.invoked_subcommand)))
        _tell(*_usage_words(usage, f"{path} --help"), ctx)
        raise typer.Exit(usage.exit_code) from None


def _usage_words(error: Any, command: str) -> tuple[str, str]:
    """The message and the hint of a usage error; ``command`` prints the help."""
    parameter, message = getattr(error, "param", None), error.format_message().rstrip(".")
    if parameter is not None and type(error).__name__ == "MissingParameter":
        name = parameter.opts[0] if parameter.param_type_name == "option" else parameter.metavar
        return f"{name} is missing", f"{name}: {parameter.help.rstrip('.')}; see {command}"
    if parameter is not None:
        return f"{parameter.opts[0]}: {_reason(error.message)}", f"see {command}"
    if hasattr(error, "possibilities"):
        from nsi_cli.support.options import did_you_mean

        near = did_you_mean(error.option_name, error.possibilities or ())
        return f"no option {error.option_name}", f"{near or 'for all options,'} see {command}"
    if message.startswith("Got unexpected extra argument"):
        message = "unexpected argument: " + message.partition(" (")[2].rstrip(")")
    message, _, near = message.partition(". ")  # No such command 'trian'. Did you mean 'train'?
    hint = " ".join(filter(None, (near[:1].lower() + near[1:], f"see {command}")))
    return message[:1].lower() + message[1:], hint


def _reason(text: str) -> str:
    """The reason why a value is refused, in the words that `check_options` uses."""
    text = text.removeprefix("Value error, ").rstrip(".")
    return text[:1].lower() + text[1:]


def _tell(message: str, hint: str, ctx: Any) -> None:
    if isinstance(ctx.obj, AppContext) and ctx.obj.debug:
        traceback.print_exc()
    who = "" if is_first_process() else "in another process: "
    typer.secho(f"nsi: {who}{' '.join(message.split())}", err=True, fg="red", bold=True)
    if hint:
        typer.echo(f"     {hint}", err=True)


app = typer.Typer(
    name="nsi",
    cls=NsiGroup,
    help="Neural Slot Interpreters: ground object semantics in the slots of an image encoder.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={
        "help_option_names": ["-h", "--help"],
        "token_normalize_func": lambda token: token.replace("_", "-"),
    },
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"nsi {__version__}")
        raise typer.Exit


@app.callback()
def nsi(
    ctx: typer.Context,
    plugin_dir: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder of a plugin that is not installed, or of several; can be repeated. The "
            "environment variable NSI_PLUGIN_PATH lists more.",
            metavar="DIR",
        ),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show warnings and logs of libraries.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Show results and errors only.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Take the global options."""
    _show_library_output(verbose)
    ctx.obj = AppContext(tuple(plugin_dir or ()), debug, quiet)
    if sys.platform == "win32":
        raise NsiError("nsi runs on Linux and macOS only", "on Windows, run it inside WSL")


def _show_library_output(verbose: bool) -> None:
    """Show warnings and logs of libraries, or only their errors."""
    import logging
    import warnings

    warnings.simplefilter("default" if verbose else "ignore")
    logging.basicConfig(format="%(name)s: %(message)s")
    logging.getLogger().setLevel(logging.INFO if verbose else logging.ERROR)


def main() -> None:
    """Run ``nsi``. SIGTERM and SIGHUP end a command as Ctrl-C does: it leaves nothing half-done."""
    handle_stop_signals(signal.default_int_handler)
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    survive_closed_terminal()
    if hasattr(sys.stderr, "reconfigure"):
        sys.stderr.reconfigure(line_buffering=True)
    app()
