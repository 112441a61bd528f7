"""The ``nsi`` command itself: global options, its subcommands, and how errors are printed."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from nsi_cli import __version__
from nsi_cli.cli import build_data, demo, evaluate, export, interpret, new_task, tasks, train
from nsi_cli.cli.context import AppContext
from nsi_cli.cli.flags import PlainGroup, command_of, stub_of
from nsi_cli.cli.output import survive_closed_terminal
from nsi_cli.support.errors import NsiError, interruptions_kept
from nsi_cli.support.processes import handle_stop_signals, is_first_process
from nsi_cli.support.threads import set_thread_defaults

COMMANDS: dict[str, Callable[..., object]] = {
    "tasks": tasks.tasks,
    "build-data": build_data.build_data,
    "train": train.train,
    "eval": evaluate.evaluate,
    "interpret": interpret.interpret,
    "export": export.export,
    "new-task": new_task.new_task,
    "demo": demo.demo,
}
"""The functions behind the subcommands, in the order of a user's way through them."""


_USE_TORCH = ("train", "eval", "interpret", "export", "demo")
"""The commands that import torch."""


class NsiGroup(PlainGroup):
    """The subcommands: listed without their flags, which are made when one is requested.

    Turns errors into one line, a hint and an exit code, for every subcommand alike.
    """

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {name: stub_of(name, function) for name, function in COMMANDS.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The requested subcommand, with all its flags."""
        name, stub, rest = super().resolve_command(ctx, args)
        if name is None or stub is None:
            return name, stub, rest
        if name in _USE_TORCH and not {"-h", "--help"} & set(rest):
            set_thread_defaults()
        if name == "build-data":
            return name, typer.main.get_command(build_data.app), rest
        return name, command_of(name, COMMANDS[name]), rest

    def invoke(self, ctx: Any) -> Any:
        """Run the requested subcommand."""
        try:
            with interruptions_kept():
                return super().invoke(ctx)
        except NsiError as error:
            if is_first_process() or error.exit_code == 1:  # else all processes say the same
                _tell(error.message, error.hint, ctx)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            _tell("interrupted", "", ctx)
            raise typer.Exit(130) from None
        except typer.BadParameter as error:
            error.message = error.message.removeprefix("Value error, ")  # pydantic's prefix
            raise
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if _is_usage_error(error):
                raise
            reason = " ".join(str(error).split())
            _tell(f"{type(error).__name__}: {reason}", "run with --debug for the traceback", ctx)
            raise typer.Exit(1) from None


def _is_usage_error(error: Exception) -> bool:
    """Whether Click tells this error itself; its class is private to Typer since 0.26."""
    return hasattr(error, "exit_code") and hasattr(error, "format_message")


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
            help="A plugin project, or a folder of them, that is not installed; can be repeated. "
            "NSI_PLUGIN_PATH names more.",
            metavar="DIR",
        ),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show warnings and notes of libraries.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Results and errors only.")] = False,
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
