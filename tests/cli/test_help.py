"""Help is quick, and tells what there is in the order of a user's way."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from nsi_clevrtex.builder import ClevrtexBuilder

from nsi_cli.cli import build_data
from nsi_cli.cli.app import COMMANDS, function_of
from nsi_cli.cli.context import AppContext
from nsi_cli.cli.flags import command_of
from nsi_cli.data.download.options import DownloadOptions
from nsi_cli.support.options import declared_options
from nsi_cli.training.config import TrainConfig

Nsi = Callable[..., Any]
HEAVY = {
    "torch", "numpy", "h5py", "matplotlib", "pydantic", "scipy", "sklearn", "PIL", "timm", "httpx",
}  # fmt: skip


def modules_after(*words: str) -> set[str]:
    """The modules that a process has imported once ``nsi`` has answered, packages among them."""
    code = (
        "import json, sys\n"
        f"sys.argv = ['nsi', *{list(words)!r}]\n"
        "from nsi_cli.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.slow
@pytest.mark.parametrize("words", [("--help",), ("--version",)])
def test_help_imports_nothing_heavy(words: tuple[str, ...]) -> None:
    assert not modules_after(*words) & HEAVY


@pytest.mark.slow
def test_help_imports_no_command() -> None:
    imported = modules_after("--help")
    assert "nsi_cli.cli.app" in imported
    assert not imported & {f"nsi_cli.{name}" for name in ("api", "cli.train", "cli.build_data")}
    assert "concurrent.futures" not in imported


def test_the_list_of_commands_has_the_first_line_of_each_ones_help() -> None:
    for name, text in COMMANDS.items():
        told = " ".join((inspect.getdoc(function_of(name)) or "").split("\n\n")[0].split())
        assert told == text, name


@pytest.mark.slow
def test_the_help_of_training_needs_only_what_typer_itself_imports() -> None:
    assert not modules_after("train", "--help") & (HEAVY - {"pydantic"})


@pytest.mark.slow
def test_the_help_of_building_data_needs_no_network_library() -> None:
    assert "httpx" not in modules_after("build-data", "clevrtex", "--help")


@pytest.mark.slow
def test_listing_tasks_imports_no_torch() -> None:
    imported = modules_after("tasks", "--json")
    assert not imported & {"torch", "h5py", "matplotlib", "timm"}
    assert "nsi_clevrtex" in imported


def test_commands_are_listed_in_the_order_of_use(nsi: Nsi) -> None:
    result = nsi("--help")
    lines = [line.strip("│ ").split() for line in result.stdout.split("Commands")[1].splitlines()]
    names = ["tasks", "build-data", "train", "eval", "interpret", "new-task", "demo"]
    assert [words[0] for words in lines if words and words[0] in names] == names
    assert result.code == 0
    assert result.stderr == ""


@pytest.mark.slow
def test_the_help_of_a_command_explains_each_of_its_flags(
    nsi: Nsi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    for name, command in _commands().items():
        result = nsi(*name.split(), "--help")
        assert result.code == 0, result
        for parameter in command.params:
            flag = parameter.opts[0]
            if not flag.startswith("--") or parameter.hidden:
                continue
            text = parameter.help.split("[")[0][:40].strip()
            shown = f"--[no-]{flag[2:]}" if parameter.secondary_opts else flag
            lines = [line for line in result.stdout.splitlines() if f" {shown} " in line]
            assert text, (name, flag)
            assert any(text in line for line in lines), (name, flag)


def test_every_hyperparameter_is_a_flag_with_its_default(
    nsi: Nsi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    text = nsi("train", "--help").stdout
    for item in declared_options(TrainConfig):
        shown = f"--[no-]{item.flag[2:]}" if item.type is bool else item.flag
        (line,) = [line for line in text.splitlines() if line.strip("│* ").startswith(f"{shown} ")]
        default = {True: "on", False: ""}[item.default] if item.type is bool else item.default
        assert (f"[default: {default}]" in line) is (default != "")


def test_flags_have_hidden_former_names(nsi: Nsi) -> None:
    text = nsi("train", "--help").stdout
    assert "--without" not in text
    assert "--annotated" not in text
    flags = ("--task", "clevrtex", "--without", "size", "--annotated", "0.5", "--print-config")
    config = yaml.safe_load(nsi("train", *flags).stdout)
    assert (config["exclude_properties"], config["label_fraction"]) == ("size", 0.5)
    assert not config.keys() & {"without", "annotated"}


def test_the_options_of_a_task_have_a_panel_of_their_own(nsi: Nsi) -> None:
    common, _, own = nsi("build-data", "clevrtex", "--help").stdout.partition("Options of clevrtex")
    for flag in ("--raw", "--synthetic", "--out", "--image-size", "--workers", "--seed", "--json"):
        assert f" {flag} " in common
        assert f" {flag} " not in own
    for flag in ("--variant", "--release", "--protocol", "--materials"):
        assert flag in own


def test_a_misspelt_command_has_a_suggestion(nsi: Nsi) -> None:
    result = nsi("trian")
    assert result.code == 2
    assert "did you mean 'train'?" in result.stderr
    assert result.stdout == ""


def _commands() -> dict[str, Any]:
    """The commands with their own flags, and the one that builds CLEVRTex."""
    group = typer.main.get_command(build_data.app)
    context = group.make_context(
        "build-data", ["clevrtex"], obj=AppContext(quiet=True), resilient_parsing=True
    )
    own = {name: command_of(name, function_of(name)) for name in COMMANDS if name != "build-data"}
    return {
        **own,
        "build-data": group,
        "build-data clevrtex": group.get_command(context, "clevrtex"),
    }


def test_every_number_that_a_command_takes_has_an_upper_bound() -> None:
    classes = (TrainConfig, ClevrtexBuilder, DownloadOptions)
    declared = [item for cls in classes for item in declared_options(cls)]
    # These are checked when the configuration is made.
    checked = {name for item in declared for name in (item.name, item.option.old_name)}
    most = {
        (name, parameter.name): parameter.max
        for name, command in _commands().items()
        for parameter in command.params
        if _is_number(parameter) and (parameter.name not in checked or parameter.max is not None)
    }
    assert ("eval", "batch_size") in most
    assert ("build-data clevrtex", "workers") in most
    assert None not in most.values(), most


def _is_number(parameter: Any) -> bool:
    kind = parameter.type_descriptor.annotation
    return bool({int, float} & {kind, *typing.get_args(kind)})


@pytest.mark.parametrize("value", ["1000000000000", str(2**63), "9" * 4000])
@pytest.mark.parametrize(
    "words",
    [
        ("build-data", "clevrtex", "--workers"),
        ("build-data", "clevrtex", "--image-size"),
        ("build-data", "clevrtex", "--synthetic"),
        ("build-data", "clevrtex", "--seed"),
        ("build-data", "clevrtex", "--connections"),
        ("build-data", "clevrtex", "--materials"),
        ("train", "--task", "clevrtex", "--num-blocks"),
        ("train", "--task", "clevrtex", "--num-workers"),
        ("demo", "--scenes"),
        ("eval", "away", "--batch-size"),
        ("interpret", "away", "--scenes"),
    ],
)
def test_a_number_beyond_its_bound_is_a_usage_error_at_once(
    words: tuple[str, ...], value: str, nsi: Nsi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = nsi(*words, value)
    assert result.code == 2, result
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [(), ("eval",), ("train",), ("build-data",), ("tasks",)])
def test_a_switch_shows_no_type(nsi: Nsi, words: tuple[str, ...]) -> None:
    said = nsi(*words, "--help").stdout
    assert "--help" in said
    assert "<bool>" not in said


@pytest.mark.parametrize("name", [*COMMANDS, "build-data clevrtex"])
def test_help_has_one_style_of_values_bounds_and_defaults_and_cuts_no_word_at_80_columns(
    nsi: Nsi, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = nsi(*name.split(), "--help").stdout
    assert "--help" in text
    for foreign in ("<", "{", "<=", "[default: True]", "[default: False]"):
        assert foreign not in text
    assert "…" not in text.replace("step-…", "")


def test_help_names_flags_with_hyphens() -> None:
    names = {item.name for item in declared_options(TrainConfig) if "_" in item.name}
    for item in declared_options(TrainConfig):
        assert not names & set(item.option.help.replace(".", " ").replace(",", " ").split())
