"""Trainings that start, die and go on within one process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nsi_cli.data.store.reader import open_store
from nsi_cli.plugins import Task
from nsi_cli.support.options import check_options
from nsi_cli.training.checkpoint import has_checkpoint, load_state
from nsi_cli.training.config import TrainConfig
from nsi_cli.training.prepare import prepare
from nsi_cli.training.run import Run, create_run, open_run
from nsi_cli.training.trainer import Trainer

Lines = list[dict[str, Any]]


@pytest.fixture
def trainer_of(tiny: dict[str, Any]) -> Callable[..., Trainer]:
    """The trainer of a new run at a path, or, with ``resume``, of one that is there."""

    def make(path: Path, *, resume: bool = False, **options: Any) -> Trainer:
        config = check_options(TrainConfig, {**tiny, **options}, where="test")
        store = open_store(Path(config.data))
        run = open_run(path) if resume else create_run(path, config, store.schema)
        task = Task("clevrtex", "", schema_builder="nsi_clevrtex.builder:ClevrtexBuilder")
        trainer = Trainer(prepare(run.config, task, store), run)
        if resume and has_checkpoint(run.last):
            trainer.resume(load_state(run.last))
        return trainer

    return make


@pytest.fixture(scope="session")
def lines() -> Callable[[Run | Path], Lines]:
    """The lines of a run's ``metrics.jsonl``."""

    def read(run: Path) -> Lines:
        return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]

    return read
