"""A run with its model and its store, and the predictions of one for the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from nsi_cli.data.build.differences import builder_of, options_of
from nsi_cli.data.loading.batch import Batch
from nsi_cli.data.loading.loader import LoaderOptions
from nsi_cli.data.loading.workers import batches_of
from nsi_cli.data.store.reader import Store
from nsi_cli.evaluation.candidates import with_range
from nsi_cli.evaluation.predict import predict, predict_images
from nsi_cli.evaluation.predictions import Predictions
from nsi_cli.interpretation.exported import Known
from nsi_cli.interpretation.own_images.reading import Pixels
from nsi_cli.models.backbones.base import Backbone
from nsi_cli.models.build import build
from nsi_cli.models.features import prepare_cache
from nsi_cli.models.nsi import NSI
from nsi_cli.models.slot_init import slot_noise
from nsi_cli.plugins.contract import Task
from nsi_cli.schema import Schema
from nsi_cli.support.errors import DataError
from nsi_cli.support.progress import SILENT, Progress
from nsi_cli.training.checkpoint import BEST
from nsi_cli.training.run import Run

TRAIN = "train"


@dataclass(frozen=True)
class RunPredictions:
    """A run with everything that its model needs to predict."""

    run: Run
    checkpoint: str
    task: Task
    opened: Store | None
    """The store; None for an export that was opened without one."""
    backbone: Backbone
    model: NSI
    known: Known | None = None
    """What an export knows of its training data."""

    @property
    def store(self) -> Store:
        """The store. Raises `DataError` if there is none."""
        if self.opened is None:
            raise DataError(
                f"{self.run.path} was exported without its store", "name a store with --data DIR"
            )
        return self.opened

    @property
    def device(self) -> torch.device:
        """The device of the model."""
        return next(self.model.parameters()).device

    @property
    def suffix(self) -> str:
        """The suffix of result names: empty for the best checkpoint on the run's own store."""
        names = [] if self.checkpoint == BEST else [self.checkpoint]
        if self._other_store:
            names.append(self.store.path.name)
        return "".join(f"-{name}" for name in names)

    @property
    def title(self) -> str:
        """The path of the run, and the checkpoint and the store if they are not the usual ones."""
        title = str(self.run.path)
        title += "" if self.checkpoint == BEST else f" at {self.checkpoint}"
        return title + (f" on {self.store.path}" if self._other_store else "")

    @property
    def _other_store(self) -> bool:
        return self.store.path.resolve() != Path(self.run.config.data).resolve()

    def evaluation_path(self, split: str) -> Path:
        """The path of the evaluation of a split."""
        return self.run.path / "eval" / f"{split}{self.suffix}.json"

    def predictions(
        self,
        split: str,
        batch_size: int,
        progress: Progress = SILENT,
        stage: str = "evaluate",
        *,
        sample: int | None = None,
        slot_sample: int = 0,
        mask_size: int | None = None,
    ) -> Iterator[Predictions]:
        """Yield the model's predictions for each batch of a split, in the store's order.

        ``stage`` is the name of the progress bar. With ``sample``, only as many whole batches as
        contain that many scenes, drawn with a fixed seed; missing features are then not added to
        the cache. ``slot_sample`` is the number of a draw of the initial slots. True masks are
        resized to ``mask_size``.
        """
        config, store = self.run.config, self.store
        scenes = store.count(split)
        batches = -(-min(scenes, scenes if sample is None else sample) // batch_size)
        cache = prepare_cache(
            self.backbone, store, [split], config.feature_cache, progress,
            fill_missing=sample is None,
        )  # fmt: skip
        options = LoaderOptions(
            batch_size=batch_size,
            workers=config.num_workers,
            shuffle=sample is not None,
            images=cache is None,
            masks=store.has_masks,
            features=cache,
        )
        loader = batches_of(self.task.load_dataloader()(store, split, options))
        with closing(loader), progress.stage(stage, min(scenes, batches * batch_size)) as advance:
            for batch in islice(loader, batches):
                found = self._predict(batch, slot_sample)
                yield found if mask_size is None else found.with_masks_of(mask_size)
                advance(len(batch))

    def predict_scene(self, split: str, index: int) -> Predictions:
        """The predictions for a single scene of a split, read without the cache."""
        options = LoaderOptions(batch_size=1, start=index, masks=self.store.has_masks)
        loader = batches_of(self.task.load_dataloader()(self.store, split, options))
        with closing(loader):
            return self._predict(next(loader))

    def _predict(self, batch: Batch, slot_sample: int = 0) -> Predictions:
        """The predictions for a batch; the initial slots of a scene depend on its index only."""
        config = self.run.config
        noise = slot_noise(
            config,
            seed=config.seed + (slot_sample << 64),  # never the seed of another run
            step=None,
            positions=batch.index.tolist(),
        )
        return predict(self.model, self.backbone, batch, noise=noise)

    def predict_images(self, images: Pixels) -> Predictions:
        """The predictions for images (B, S, S, 3) without annotation, each as if it were alone."""
        config = self.run.config
        noise = slot_noise(config, seed=config.seed, step=None, positions=[0] * len(images))
        width = self.run.schema.width
        return predict_images(self.model, self.backbone, images, width=width, noise=noise)

    def untrained(self, seed: int = 0) -> Self:
        """The same run with new weights, as at the start of a training with another seed."""
        config = self.run.config
        encoder = self.task.load_schema_encoder()
        _, model = build(
            config, self.run.schema, encoder, precision=config.precision,
            seed=config.seed + 1 + seed,
        )  # fmt: skip
        return replace(self, model=model.to(self.device).eval())

    @property
    def reference_split(self) -> str:
        """The split whose objects are familiar: train, or the first one of a store without it."""
        if self.opened is None or TRAIN in self.opened.splits:
            return TRAIN
        return self.opened.splits[0]

    def seen(self, split: str) -> Schema:
        """The schema with the range of a split's values as its bounds."""
        if self.known is not None and split == self.reference_split:
            return self.known.seen
        primitives, lengths = self.store.primitives(split)
        present = np.arange(primitives.shape[1]) < lengths[:, None]
        return with_range(self.run.schema, primitives[present])

    @property
    def build_options(self) -> dict[str, Any]:
        """The options with which the store was built that the run was trained on."""
        if self.known is not None:
            return self.known.build_options
        return options_of(Path(self.run.config.data), self.store)

    @cached_property
    def builder(self) -> Any:
        """The schema builder of the run's store; None if it does not accept the options."""
        return builder_of(self.task, self.build_options)
