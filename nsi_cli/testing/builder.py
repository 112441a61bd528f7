"""Checks of a schema builder's class, and of the scenes that it synthesises."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nsi_cli.plugins.archive import Archive
from nsi_cli.plugins.contract import Downloadable, SchemaBuilder, Synthesizer
from nsi_cli.support.options import check_options, declared_options
from nsi_cli.testing.expect import expect, expected_to_work, located

COUNT = 6
"""The number of scenes that are synthesised."""

_PARAMETERS = "__dataclass_params__"
_METHODS = {
    "schema": "returns the Schema",
    "splits": "returns {split: sources}",
    "load": "returns the Scene of a source",
}


def make_builder(
    kind: Any, raw: Path | None, scratch: Path, options: Mapping[str, Any]
) -> SchemaBuilder:
    """Return a schema builder of class ``kind`` for ``raw``, or for scenes synthesised here."""
    with located(kind):
        _check_class(kind)
        builder: SchemaBuilder = _make(kind, raw or scratch / "raw", options)
        _check_archives(_make(kind, scratch / "empty", options))
        if raw is None:
            expect(
                isinstance(builder, Synthesizer),
                f"{kind.__name__} cannot synthesise scenes: give a folder of raw scenes, "
                "check_task(task, raw=…) or nsi tasks --check NAME --raw DIR",
            )
            _check_synthesis(builder, _make(kind, scratch / "again", options))
        with expected_to_work(f"pickling a {kind.__name__}, which worker processes need,"):
            copy = pickle.loads(pickle.dumps(builder))
        expect(
            copy == builder,
            f"a {kind.__name__} changes when it is pickled: use plain values in its fields",
        )
    return builder


def _check_class(kind: Any) -> None:
    name = getattr(kind, "__name__", repr(kind))
    frozen = dataclasses.is_dataclass(kind) and getattr(kind, _PARAMETERS).frozen
    expect(frozen, f"{name} must be a class under @dataclass(frozen=True)")
    first, *others = [field.name for field in dataclasses.fields(kind)] or [""]
    expect(first == "raw", f"the first field of {name} must be `raw: Path`, not '{first}'")
    declared = [item.field for item in declared_options(kind)]
    undeclared = sorted(set(others) - set(declared))
    expect(
        not undeclared, f"{name}: declare the fields {undeclared} with nsi_cli.plugins.option(…)"
    )
    for method, result in _METHODS.items():
        expect(
            callable(getattr(kind, method, None)),
            f"{name} has no method {method}: add one that {result}",
        )


def _make(kind: Any, raw: Path, options: Mapping[str, Any]) -> Any:
    with expected_to_work(f"making a {kind.__name__}"):
        return check_options(kind, options, where="options given to check_task", raw=raw)


def _check_archives(builder: Any) -> None:
    """If raw data can be downloaded, check that archives() works without a raw folder."""
    if not isinstance(builder, Downloadable):
        return
    with located(type(builder).archives):
        with expected_to_work("archives()"):
            archives = list(builder.archives())
        expect(
            bool(archives) and all(isinstance(item, Archive) for item in archives),
            f"archives() must return one Archive or more, not {archives!r}",
        )
        names = [item.name for item in archives]
        expect(
            len(set(names)) == len(names),
            f"archives() returned two archives of the same name: {names}; give each another name",
        )


def _check_synthesis(first: Any, second: Any) -> None:
    """Synthesise scenes twice, and check that the files are the same."""
    with located(type(first).synthesize):
        for builder in (first, second):
            with expected_to_work(f"synthesize({COUNT}, seed=0, workers=0)"):
                builder.synthesize(COUNT, seed=0, workers=0)
        _check_same_bytes(first, second)


def _check_same_bytes(first: SchemaBuilder, second: SchemaBuilder) -> None:
    files, again = _files(first.raw), _files(second.raw)
    expect(bool(files), f"synthesize wrote nothing: write `count` scenes under {first.raw}")
    differing = sorted(
        str(name) for name in files.keys() | again.keys() if files.get(name) != again.get(name)
    )
    expect(
        not differing,
        f"with the same seed, synthesize wrote different bytes the second time: {differing[:3]}; "
        "draw every random number from a generator made from the seed",
    )


def _files(folder: Path) -> dict[Path, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder): path.read_bytes() for path in files}
