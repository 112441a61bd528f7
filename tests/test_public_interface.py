"""The public interface changes only together with its list and with a line in the changelog.

``python tests/test_public_interface.py`` writes the list and prints its digest.
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import re
from collections.abc import Iterator
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
LIST = ROOT / "tests" / "public_interface.txt"

MODULES: dict[str, tuple[str, ...]] = {
    "nsi_cli.plugins": (),
    "nsi_cli.testing": (),
    "nsi_cli.api": (),
    "nsi_cli.data.loading.batch": ("Batch",),
    "nsi_cli.data.loading.loader": ("Batches", "LoaderOptions", "make_dataloader", "part_of"),
    "nsi_cli.data.store.reader": ("Store", "open_store"),
    "nsi_cli.models.config": ("ModelConfig",),
    "nsi_cli.models.schema_encoder": ("PropertySchemaEncoder",),
}
"""The public modules, with the names that are public in each; () stands for its ``__all__``."""

CALLED = {"__init__", "__call__", "__iter__", "__len__", "__getitem__"}
"""The special methods that are shown."""


def public_names() -> Iterator[tuple[str, str, Any]]:
    """The module, name and object of everything that is public, sorted."""
    for path, names in MODULES.items():
        module = import_module(path)
        for name in sorted(names or module.__all__):
            yield path, name, getattr(module, name)


def as_text() -> str:
    """One line for each public name, and one for each public member of a class."""
    lines = []
    for path, name, item in public_names():
        lines += [f"{path}.{line}" for line in lines_of(name, item)]
    return "\n".join(lines) + "\n"


def lines_of(name: str, item: Any) -> Iterator[str]:
    if inspect.isclass(item):
        yield f"{name} ({', '.join(base.__name__ for base in item.__bases__)})"
        for member, value in sorted(members(item).items()):
            if isinstance(value, dataclasses.Field):
                default = (
                    "" if value.default is dataclasses.MISSING else f" = {short(value.default)}"
                )
                yield f"{name}.{member}: {value.type}{default}"
            elif isinstance(value, property):
                yield f"{name}.{member} -> {value.fget.__annotations__.get('return')}"
            else:
                yield f"{name}.{member}{signature(value)}"
    elif inspect.isroutine(item):
        yield f"{name}{signature(item)}"
    else:
        yield f"{name} = {short(item)}"


def members(kind: type) -> dict[str, Any]:
    """The public fields, properties and methods that a class itself defines."""
    found = {}
    for key, value in vars(kind).items():
        value = value.__func__ if isinstance(value, staticmethod | classmethod) else value
        value = property(value.func) if isinstance(value, cached_property) else value
        if inspect.isfunction(value) or isinstance(value, property):
            found[key] = value
    generated = dataclasses.is_dataclass(kind) or getattr(kind, "_is_protocol", False)
    special = CALLED - {"__init__"} if generated else CALLED
    found = {key: value for key, value in found.items() if key[0] != "_" or key in special}
    if dataclasses.is_dataclass(kind):
        own = [
            item for item in dataclasses.fields(kind) if item.name in vars(kind)["__annotations__"]
        ]
        found |= {item.name: item for item in own if item.name[0] != "_"}
    return found


def signature(item: Any) -> str:
    """The parameters of a function with their annotations and defaults, and what it returns."""
    parts, star = [], False
    try:
        found = inspect.signature(item)
    except ValueError:  # a class of a library
        return "(…)"
    for parameter in found.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not star:
            parts.append("*")
        star = star or parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL)
        mark = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}
        text = mark.get(parameter.kind, "") + parameter.name
        if parameter.annotation is not parameter.empty:
            text += f": {parameter.annotation}"
        if parameter.default is not parameter.empty:
            text += f" = {short(parameter.default)}"
        parts.append(text)
    returned = "" if found.return_annotation is found.empty else f" -> {found.return_annotation}"
    return f"({', '.join(parts)}){returned}"


def short(value: Any) -> str:
    """A plain value as Python writes it; of any other, only its type."""
    plain = (str, int, float, type(None))
    if isinstance(value, plain) or (
        isinstance(value, tuple) and all(type(x) in plain for x in value)
    ):
        return repr(value)
    return f"<{type(value).__name__}>"


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def unreleased() -> str:
    """The section of the changelog about the next release."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    return text.partition("## [Unreleased]")[2].partition("\n## [")[0]


def test_the_list_of_the_public_interface_is_up_to_date() -> None:
    recorded, now = LIST.read_text(encoding="utf-8").splitlines(), as_text().splitlines()
    changed = [f"- {line}" for line in recorded if line not in now]
    changed += [f"+ {line}" for line in now if line not in recorded]
    assert recorded == now, (
        "the public interface changed: run python tests/test_public_interface.py, and describe the "
        "change in CHANGELOG.md under Unreleased\n" + "\n".join(changed)
    )


def test_a_change_of_the_public_interface_has_a_line_in_the_changelog() -> None:
    expected = digest(LIST.read_text(encoding="utf-8"))
    assert f"`{expected}`" in unreleased(), (
        "the public interface changed: describe the change in CHANGELOG.md under Unreleased, and "
        f"put the digest `{expected}` there"
    )


def test_every_public_name_is_documented() -> None:
    page = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    for path, name, item in public_names():
        if path != "nsi_cli.api":
            assert re.search(rf"`{name}\b", page), f"docs/plugins.md does not name {path}.{name}"
        if inspect.isclass(item) or inspect.isfunction(item):
            assert inspect.getdoc(item), f"{path}.{name} has no docstring"
            for member, value in members(item).items() if inspect.isclass(item) else ():
                if inspect.isfunction(value) and member[0] != "_":
                    assert inspect.getdoc(value), f"{path}.{name}.{member} has no docstring"


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("keep_visible(scene_id: str", "keep_visible(name: str"),
        lambda text: text.replace("nsi_cli.plugins.Scene.label", "nsi_cli.plugins.Scene.tag"),
        lambda text: text.replace("nsi_cli.api.train(", "nsi_cli.api.fit("),
    ],
)
def test_the_list_shows_names_and_signatures(change: Any) -> None:
    """If one of these changed, the two tests above would fail."""
    text = as_text()
    assert change(text) != text
    assert digest(change(text)) != digest(text)


if __name__ == "__main__":
    LIST.write_text(as_text(), encoding="utf-8")
    print(f"{LIST.relative_to(ROOT)}: digest {digest(as_text())}")
