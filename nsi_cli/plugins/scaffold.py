"""The scaffold: a new plugin project, rendered from the templates that ship with the toolkit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import nsi_cli
from nsi_cli.plugins.discovery.entry_points import location_of
from nsi_cli.support.errors import ConfigError
from nsi_cli.support.files import replacing_folder

SUFFIX = ".jinja"


def render_plugin(name: str, into: Path) -> list[Path]:
    """Write the plugin project of a new task at ``into / name``, and return its files, sorted.

    If writing fails, no file is left. Raises `ConfigError` for an invalid name, or if the package
    or ``into / name`` exists already; `DataError` if the files cannot be written.
    """
    target = into / name
    variables = _variables(name)
    if target.exists() or target.is_symlink():
        raise ConfigError(f"{target} exists already", "choose another name, or another --dir")
    with replacing_folder(target) as folder:
        for path, text in _rendered(variables):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
    return sorted(path for path in target.rglob("*") if path.is_file())


def templates_folder() -> Path:
    """Return the folder of templates: in an installed package, or next to it in a checkout."""
    package = Path(nsi_cli.__file__).parent
    installed = package / "_templates"
    return installed if installed.is_dir() else package.parent / "templates"


def _variables(name: str) -> dict[str, str]:
    """Return the template variables. Raises `ConfigError` for an invalid or existing name."""
    if not re.fullmatch(r"[a-z]([a-z0-9_-]*[a-z0-9])?", name):
        raise ConfigError(
            f"'{name}' cannot be a task's name",
            "use lower-case letters, digits, - and _; begin with a letter, do not end with - or _",
        )
    package = "nsi_" + name.replace("-", "_")
    existing = location_of(package)
    if existing:
        raise ConfigError(
            f"the package '{package}' of a task '{name}' exists already: {existing}",
            "choose another name",
        )
    title = "".join(word.capitalize() for word in re.split(r"[-_]+", name))
    return {
        "name": name,
        "package": package,
        "project": package.replace("_", "-"),
        "class_name": f"{title}Builder",
    }


def _rendered(variables: dict[str, str]) -> Iterator[tuple[Path, str]]:
    """Yield the path and the text of each file of the project; paths are templates too."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True)
    root = templates_folder() / "plugin"
    for template in sorted(path for path in root.rglob("*") if path.is_file()):
        path = environment.from_string(template.relative_to(root).as_posix()).render(variables)
        text = environment.from_string(template.read_text(encoding="utf-8")).render(variables)
        yield Path(path.removesuffix(SUFFIX)), text
