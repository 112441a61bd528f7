"""The scaffold: a new plugin project, rendered from the templates that ship with the toolkit."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import nsi_cli
from nsi_cli.plugins.discovery.entry_points import location_of
from nsi_cli.support.errors import ConfigError
from nsi_cli.support.files import replacing_folder

if TYPE_CHECKING:
    from nsi_cli.plugins.scaffold_table import Dataset

SUFFIX = ".jinja"

_SHARED = ("pyproject.toml.jinja", "{{ package }}/__init__.py.jinja", "{{ package }}/py.typed")
"""The templates of the example that a plugin for a dataset has too."""


def render_plugin(name: str, into: Path, dataset: Dataset | None = None) -> list[Path]:
    """Write the plugin project of a new task at ``into / name``, and return its files, sorted.

    With a dataset, the plugin reads it; else it is an example that draws its own scenes. If writing
    fails, no file is left. Raises `ConfigError` for an invalid name, or if the package or
    ``into / name`` exists already; `DataError` if the files cannot be written.
    """
    target = into / name
    variables = _variables(name, into, dataset)
    if target.exists() or target.is_symlink():
        raise ConfigError(f"{target} exists already", "choose another name, or another --dir")
    with replacing_folder(target) as folder:
        for path, text in _rendered(variables, _templates(dataset)):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
        if dataset is not None:
            schema = folder / str(variables["package"]) / "schema.yaml"
            schema.write_text(dataset.schema_file, encoding="utf-8")
            dataset.write_sample(folder / "tests" / "raw")
    return sorted(path for path in target.rglob("*") if path.is_file())


def templates_folder() -> Path:
    """Return the folder of templates: in an installed package, or next to it in a checkout."""
    package = Path(nsi_cli.__file__).parent
    installed = package / "_templates"
    return installed if installed.is_dir() else package.parent / "templates"


def _variables(name: str, into: Path, dataset: Dataset | None) -> dict[str, object]:
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
        **_dataset_variables(into, dataset),
    }


def _dataset_variables(into: Path, dataset: Dataset | None) -> dict[str, object]:
    if dataset is None:
        summary = "discs and rectangles on a grey ground"
        return {"summary": summary, "table": False, "extra": ""}
    raw = dataset.scenes.images.root
    shown = raw if raw.is_absolute() else Path(os.path.relpath(raw, into))  # from the parent folder
    masked = dataset.coco and dataset.scenes.how.mask is not None
    return {
        "summary": "images with COCO annotations" if dataset.coco else "images with a table",
        "table": True,
        "extra": "[coco]" if masked else "",
        "coco": dataset.coco,
        "annotations": json.dumps(dataset.annotations, ensure_ascii=False),
        "annotations_name": dataset.annotations,
        "sample": json.dumps(dataset.sample, ensure_ascii=False),
        "raw": shlex.quote(str(shown)),
        "train_flags": dataset.train_flags,
    }


def _templates(dataset: Dataset | None) -> dict[str, Path]:
    """Return the templates by their paths in the project, which are templates too."""
    found = _files(templates_folder() / "plugin")
    if dataset is None:
        return found
    own = _files(templates_folder() / "table_plugin")
    return {path: file for path, file in found.items() if path in _SHARED} | own


def _files(root: Path) -> dict[str, Path]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {file.relative_to(root).as_posix(): file for file in files}


def _rendered(
    variables: dict[str, object], templates: dict[str, Path]
) -> Iterator[tuple[Path, str]]:
    """Yield the path and the text of each file of the project."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True)
    for name, file in templates.items():
        path = environment.from_string(name).render(variables)
        text = environment.from_string(file.read_text(encoding="utf-8")).render(variables)
        yield Path(path.removesuffix(SUFFIX)), text
