"""The wheel holds everything that a checkout does, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[1]
PLUGINS = {path.name: path for path in sorted((ROOT / "plugins").glob("*/nsi_*"))}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> ZipFile:
    """The wheel, built without touching the network or the checkout."""
    out = tmp_path_factory.mktemp("wheel")
    code = (
        "import sys; from hatchling.build import build_wheel; "
        "sys.stdout = sys.stderr; build_wheel(sys.argv[1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(out)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (path,) = out.glob("nsi_cli-*.whl")
    return ZipFile(path)


def test_every_file_of_all_packages_is_in_it(wheel: ZipFile) -> None:
    packages = {"nsi_cli": ROOT / "nsi_cli", **PLUGINS}
    expected = {
        f"{name}/{path.relative_to(folder)}"
        for name, folder in packages.items()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    expected |= {
        f"nsi_cli/_templates/{path.relative_to(ROOT / 'templates')}"
        for path in (ROOT / "templates").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert expected >= {
        "nsi_cli/py.typed",
        "nsi_cli/cli/demo-data.yaml",
        "nsi_cli/training/presets/readme.yaml",
        "nsi_cli/interpretation/templates/report/page.html.j2",
        "nsi_cli/_templates/plugin/pyproject.toml.jinja",
        *(f"{name}/py.typed" for name in PLUGINS),
    }
    assert expected <= set(wheel.namelist())


def test_nothing_else_is_in_it(wheel: ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"nsi_cli", *PLUGINS}
    assert not [name for name in wheel.namelist() if "__pycache__" in name]


def test_it_brings_the_command_and_the_tasks(wheel: ZipFile) -> None:
    (entries,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    text = wheel.read(entries).decode()
    assert "[console_scripts]\nnsi = nsi_cli.cli:main" in text
    for name in PLUGINS:
        assert f"\n{name.removeprefix('nsi_')} = {name}\n" in f"{text}\n"


@pytest.mark.slow
def test_it_works_where_it_is_installed(wheel: ZipFile, tmp_path: Path) -> None:
    site = tmp_path / "site"
    wheel.extractall(site)
    code = (
        "import sys; sys.path.insert(0, sys.argv.pop(1)); import nsi_cli; "
        "assert nsi_cli.__file__.startswith(sys.path[0]); from nsi_cli.cli import main; main()"
    )
    for words in (["tasks"], ["new-task", "shapes"], ["build-data", "clevrtex", "--help"]):
        done = subprocess.run(
            [sys.executable, "-c", code, str(site), *words],
            cwd=tmp_path, env={"PATH": ""}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "shapes" / "pyproject.toml").is_file()
