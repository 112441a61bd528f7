"""A new plugin is complete, well-formed, and works without changes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nsi_cli.plugins import scaffold
from nsi_cli.plugins.discovery.discover import discover
from nsi_cli.plugins.scaffold import render_plugin, templates_folder
from nsi_cli.support.errors import ConfigError, DataError

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", *map(str, command)],
        cwd=cwd, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("scaffold")
    render_plugin("my-scenes", into)
    return into / "my-scenes"


def test_a_plugin_has_these_files(tmp_path: Path) -> None:
    files = render_plugin("my-scenes", tmp_path)
    assert [str(path.relative_to(tmp_path)) for path in files] == [
        "my-scenes/README.md",
        "my-scenes/nsi_my_scenes/__init__.py",
        "my-scenes/nsi_my_scenes/builder.py",
        "my-scenes/nsi_my_scenes/drawing.py",
        "my-scenes/nsi_my_scenes/py.typed",
        "my-scenes/pyproject.toml",
        "my-scenes/tests/test_contract.py",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["my-scenes"]


def test_no_template_syntax_is_left(project: Path) -> None:
    for path in project.rglob("*"):
        if path.is_file() and path.suffix != ".pyc":  # other tests may have imported it
            text = path.read_text(encoding="utf-8")
            assert not {"{{", "}}", "{%", "%}"} & set(text.split()), path
            assert "jinja" not in str(path)


def test_the_builds_in_its_readme_fit_each_other_and_the_training(project: Path) -> None:
    lines = (project / "README.md").read_text(encoding="utf-8").splitlines()
    first, second = [line for line in lines if " build-data " in line and "--help" not in line]
    assert first.endswith("--synthetic 200 --image-size 128")
    assert second.endswith("--raw data/my-scenes-raw --image-size 128 --force")
    assert lines.index("pip install -e 'my-scenes[dev]'") < lines.index("pytest my-scenes")


@pytest.mark.slow
def test_its_builder_does_not_need_the_drawing_of_the_example(tmp_path: Path) -> None:
    render_plugin("my-scenes", tmp_path)
    project = tmp_path / "my-scenes"
    (project / "nsi_my_scenes" / "drawing.py").unlink()
    result = subprocess.run(
        [sys.executable, "-c", "import nsi_my_scenes.builder"],
        cwd=project, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr


def test_discovery_finds_it_uninstalled(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    task = discover([project]).task("my-scenes")
    assert task.summary.startswith("my-scenes")
    assert task.load_schema_builder().__name__ == "MyScenesBuilder"
    for name in [name for name in sys.modules if name.startswith("nsi_my_scenes")]:
        del sys.modules[name]


@pytest.mark.slow
def test_its_own_tests_pass(project: Path) -> None:
    result = run("pytest", "-q", "-p", "no:cacheprovider", cwd=project)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "1 passed" in result.stdout


@pytest.mark.parametrize("name", ["a", "scenes-of-a-rather-long-name"])
def test_its_code_passes_the_linter_for_every_name(name: str, tmp_path: Path) -> None:
    pytest.importorskip("ruff")
    render_plugin(name, tmp_path)
    for command in (("check",), ("format", "--check")):
        result = run("ruff", *command, "--no-cache", ".", cwd=tmp_path / name)
        assert result.returncode == 0, result.stdout


@pytest.mark.slow
def test_it_passes_strict_type_checks(
    project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pytest.importorskip("mypy")
    cache = tmp_path_factory.getbasetemp() / "mypy"  # shared by all rendered plugins
    result = run("mypy", "--cache-dir", cache, cwd=project)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("name", ["", "Shapes", "3d", "-x", "x-", "a b", "../x", "x.y", "ä"])
def test_an_invalid_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be a task's name"):
        render_plugin(name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_name_whose_package_exists_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="package 'nsi_cli'"):
        render_plugin("cli", tmp_path)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "shapes").mkdir()
    with pytest.raises(ConfigError, match="exists already"):
        render_plugin("shapes", tmp_path)
    assert not list((tmp_path / "shapes").iterdir())


def test_a_failed_rendering_leaves_no_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    templates = tmp_path / "templates"
    (templates / "plugin").mkdir(parents=True)
    (templates / "plugin" / "a.txt").write_text("{{ name }}")
    (templates / "plugin" / "b.txt").write_text("{{ undefined_name }}")
    monkeypatch.setattr(scaffold, "templates_folder", lambda: templates)
    with pytest.raises(Exception, match="undefined_name"):
        render_plugin("shapes", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write"):
        render_plugin("shapes", tmp_path / "file")


def test_templates_are_found_next_to_the_package_and_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (templates_folder() / "plugin" / "pyproject.toml.jinja").is_file()
    inside = tmp_path / "nsi_cli" / "_templates"
    monkeypatch.setattr("nsi_cli.__file__", str(inside.parent / "__init__.py"))
    assert templates_folder() == tmp_path / "templates"
    inside.mkdir(parents=True)
    assert templates_folder() == inside
