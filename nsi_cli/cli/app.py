"""The ``nsi`` command itself: global options, its subcommands, and how errors are told."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from nsi_cli import __version__
from nsi_cli.cli import build_data, demo, evaluate, interpret, new_task, tasks, train
from nsi_cli.cli.state import State
from nsi_cli.errors import NsiError


class NsiGroup(TyperGroup):
    """Turns errors into one line, a hint and an exit code, for every subcommand alike."""

    def invoke(self, ctx: Any) -> Any:
        """Run the subcommand that was asked for."""
        try:
            return super().invoke(ctx)
        except NsiError as error:
            _tell(error.message, error.hint, ctx)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            _tell("interrupted", "", ctx)
            raise typer.Exit(130) from None
        except (typer.Exit, typer.Abort, typer.BadParameter, BrokenPipeError):
            raise
        except Exception as error:
            if _is_usage_error(error):
                raise
            told = str(error).strip().split("\n")[0]
            _tell(f"{type(error).__name__}: {told}", "run with --debug for the traceback", ctx)
            raise typer.Exit(1) from None


def _is_usage_error(error: Exception) -> bool:
    """Whether Click tells this error itself; its class is private to Typer since 0.26."""
    return hasattr(error, "exit_code") and hasattr(error, "format_message")


def _tell(message: str, hint: str, ctx: Any) -> None:
    if isinstance(ctx.obj, State) and ctx.obj.debug:
        traceback.print_exc()
    typer.secho(f"nsi: {message}", err=True, fg="red", bold=True)
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
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Tell more.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Results and errors only.")] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Take the global options."""
    ctx.obj = State(tuple(plugin_dir or ()), debug, verbose, quiet)


app.command("tasks")(tasks.tasks)
app.add_typer(build_data.app, name="build-data")
app.command("train")(train.train)
app.command("eval")(evaluate.evaluate)
app.command("interpret")(interpret.interpret)
app.command("new-task")(new_task.new_task)
app.command("demo")(demo.demo)


def main() -> None:
    """Run ``nsi``."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    if hasattr(sys.stderr, "reconfigure"):
        sys.stderr.reconfigure(line_buffering=True)
    app()
