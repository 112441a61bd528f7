"""A trained run with its model at one of its checkpoints, and its store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from nsi_cli.data.build.differences import builder_of, differences
from nsi_cli.data.loading.loader import LoaderOptions
from nsi_cli.data.loading.workers import batches_of
from nsi_cli.data.store.reader import Store, open_store
from nsi_cli.evaluation.predict import predict, predict_images
from nsi_cli.evaluation.predictions import Predictions
from nsi_cli.models.backbones.base import Backbone
from nsi_cli.models.build import build
from nsi_cli.models.features import prepare_cache
from nsi_cli.models.nsi import NSI
from nsi_cli.models.slot_init import slot_noise
from nsi_cli.plugins.contract import Preparer, Task
from nsi_cli.plugins.discovery.registry import TaskRegistry
from nsi_cli.support.errors import DataError
from nsi_cli.support.progress import SILENT, Progress
from nsi_cli.training.checkpoint import BEST, load_weights, restore
from nsi_cli.training.run import Run, open_run

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class LoadedRun:
    """A run with everything that evaluation and interpretation need."""

    run: Run
    checkpoint: str
    task: Task
    store: Store
    backbone: Backbone
    model: NSI

    @property
    def device(self) -> torch.device:
        """The device of the model."""
        return next(self.model.parameters()).device

    @property
    def suffix(self) -> str:
        """What the names of results end with; empty for the best checkpoint on the run's store."""
        names = [] if self.checkpoint == BEST else [self.checkpoint]
        if self.store.path.resolve() != Path(self.run.config.data).resolve():
            names.append(self.store.path.name)
        return "".join(f"-{name}" for name in names)

    def evaluation_path(self, split: str) -> Path:
        """The file of the evaluation of a split."""
        return self.run.path / "eval" / f"{split}{self.suffix}.json"

    def predictions(
        self, split: str, batch_size: int, progress: Progress = SILENT, stage: str = "evaluate"
    ) -> Iterator[Predictions]:
        """Yield the model's predictions for each batch of a split, in the store's order.

        ``stage`` is the name of the progress bar.
        """
        config, store = self.run.config, self.store
        total = store.count(split)
        cache = prepare_cache(self.backbone, store, [split], config.feature_cache, progress)
        options = LoaderOptions(
            batch_size=batch_size,
            workers=config.num_workers,
            images=cache is None,
            masks=store.has_masks,
            features=cache,
        )
        with progress.stage(stage, total) as advance:
            for batch in batches_of(self.task.load_dataloader()(store, split, options)):
                noise = slot_noise(
                    config, seed=config.seed, step=None, positions=batch.index.tolist()
                )
                yield predict(self.model, self.backbone, batch, noise=noise)
                advance(len(batch))

    def predict_image(self, image: Pixels) -> Predictions:
        """The model's predictions for one image (S, S, 3) without annotation."""
        config = self.run.config
        noise = slot_noise(config, seed=config.seed, step=None, positions=[0])
        width = self.run.schema.width
        return predict_images(self.model, self.backbone, image[None], width=width, noise=noise)

    def preparation(self, name: str, progress: Progress = SILENT) -> Callable[[Pixels], Pixels]:
        """How to crop an image called ``name`` like those of the store that the run was trained on.

        Notes a warning if the task's builder cannot prepare it; it is then used whole.
        """
        builder = builder_of(self.task, Path(self.run.config.data), self.store)

        def prepare(image: Pixels) -> Pixels:
            cropped = builder.prepare(image) if isinstance(builder, Preparer) else image
            if cropped is not None:
                return cropped
            height, width = image.shape[:2]
            progress.note(
                f"warning: {name}: {width} × {height} pixels, unlike the images of the task; "
                "it is used whole"
            )
            return image

        return prepare


def load_run(
    path: Path,
    registry: TaskRegistry,
    *,
    data: Path | None = None,
    checkpoint: str = BEST,
    progress: Progress = SILENT,
) -> LoadedRun:
    """Open a run at a checkpoint, with its store or the one at ``data``.

    Notes how the store at ``data`` was built differently. Raises `DataError` if the run, its
    checkpoint or the store is missing, or if the store has another schema or image size, and
    `ConfigError` for the name of a checkpoint that no run has.
    """
    run = open_run(path)
    task = registry.task(run.config.task)
    folder = run.checkpoint(checkpoint)
    weights = load_weights(folder)
    store = open_store(data or Path(run.config.data), run.config.task)
    run.check_schema(store.schema, store.path)
    config = run.config
    if store.image_size != config.image_size:
        raise DataError(
            f"store {store.path} has images of {store.image_size} pixels, run {path} was trained "
            f"on {config.image_size}",
            f"build it again with --image-size {config.image_size}",
        )
    for line in [] if data is None else differences(task, Path(config.data), store):
        progress.note(line)
    backbone, model = build(
        config,
        run.schema,
        task.load_schema_encoder(),
        precision=config.precision,
        seed=config.seed,
    )
    restore(model, weights, folder)
    device = _device(config.accelerator)
    return LoadedRun(run, checkpoint, task, store, backbone.to(device), model.to(device).eval())


def _device(accelerator: str) -> str:
    if accelerator == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return accelerator
