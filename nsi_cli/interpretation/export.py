"""The export of a run: a folder for a model hub, that opens without the store."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from nsi_cli import __version__
from nsi_cli.evaluation.table import COLUMNS, rows
from nsi_cli.interpretation.exported import Known, write_known
from nsi_cli.interpretation.loaded_run import LoadedRun
from nsi_cli.schema import Categorical
from nsi_cli.support.errors import DataError
from nsi_cli.support.files import replacing_folder, write_json
from nsi_cli.support.options import plain
from nsi_cli.training.checkpoint import WEIGHTS, complete
from nsi_cli.training.run import CONFIG, SCHEMA, as_yaml

CARD = "README.md"


def export_run(loaded: LoadedRun, to: Path, result: dict[str, Any] | None = None) -> Path:
    """Write weights, options, schema and a model card into the new folder ``to``; return it.

    ``result`` is an evaluation for the card. Paths of this machine are left out. Raises `DataError`
    if there is something at ``to``; nothing half-written stays.
    """
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise DataError(f"{to} exists already", "choose another folder")
    with replacing_folder(to) as folder:
        _write(folder, loaded, result)
    return to


def _write(folder: Path, loaded: LoadedRun, result: dict[str, Any] | None) -> None:
    run = loaded.run
    config = replace(run.config, data=str(Path("data") / run.config.task), feature_cache="auto")
    shutil.copyfile(complete(run.checkpoint(loaded.checkpoint)) / WEIGHTS, folder / WEIGHTS)
    (folder / CONFIG).write_text(as_yaml(plain(config)), encoding="utf-8")
    write_json(folder / SCHEMA, run.schema.to_json())
    known = Known(
        loaded.seen(loaded.reference_split),
        loaded.reader.reference,
        {name: value for name, value in loaded.build_options.items() if name != "raw"},
    )
    write_known(folder, known)
    (folder / CARD).write_text(_card(loaded, result), encoding="utf-8")


def _card(loaded: LoadedRun, result: dict[str, Any] | None) -> str:
    environment = Environment(
        loader=PackageLoader("nsi_cli.interpretation"),
        autoescape=False,  # Markdown; cells are escaped by `_cell`
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    config, schema = loaded.run.config, loaded.run.schema
    properties = [
        (
            item.name,
            ", ".join(item.values)
            if isinstance(item, Categorical)
            else f"{item.size} × {item.low} to {item.high}",
        )
        for item in schema.properties
    ]
    front = {
        "library_name": "nsi",
        "tags": [
            "object-centric-learning",
            "slot-attention",
            "neural-slot-interpreter",
            config.task,
        ],
    }
    metrics = [] if result is None else rows(result)
    return environment.get_template("model_card.md.j2").render(
        front=as_yaml(front),
        task=config.task,
        version=__version__,
        columns=COLUMNS,
        metrics=[[_cell(text) for text in row] for row in metrics],
        split="" if result is None else result["split"],
        scenes=0 if result is None else result["scenes"],
        properties=[[_cell(text) for text in row] for row in properties],
        most=schema.max_objects,
        settings=as_yaml(plain(config)),
        example=" ".join(item.values[0] for item in schema.categorical[:2]),
    )


def _cell(text: str) -> str:
    """Text for a cell of a Markdown table."""
    escaped = text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
    return " ".join(escaped.split())
