"""A trained run, opened to be looked at: its model at one of its checkpoints, and its store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from nsi_cli.cli.state import State
from nsi_cli.cli.store_options import builder_of, tell_differences
from nsi_cli.data.loader import LoaderOptions
from nsi_cli.data.loader_workers import batches_of
from nsi_cli.data.store import Store, open_store
from nsi_cli.errors import DataError
from nsi_cli.evaluation.find import find, find_images
from nsi_cli.evaluation.findings import Findings
from nsi_cli.models.backbone import Backbone
from nsi_cli.models.build import build
from nsi_cli.models.features import prepare_cache
from nsi_cli.models.nsi import NSI
from nsi_cli.models.slot_noise import slot_noise
from nsi_cli.plugins.contract import Preparer, Task
from nsi_cli.training.checkpoint import load_weights, restore
from nsi_cli.training.rotation import BEST
from nsi_cli.training.run import Run, open_run

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class LoadedRun:
    """A run with everything that eval and interpret need of it."""

    run: Run
    task: Task
    store: Store
    backbone: Backbone
    model: NSI

    def findings(
        self, state: State, split: str, batch_size: int, stage: str = "evaluate"
    ) -> Iterator[Findings]:
        """What the model makes of each batch of a split, in the store's order.

        ``stage`` is what the progress is called.
        """
        config, store = self.run.config, self.store
        total = store.count(split)
        cache = prepare_cache(self.backbone, store, [split], config.feature_cache, state.progress)
        options = LoaderOptions(
            batch_size=batch_size, workers=config.num_workers, masks=store.has_masks, features=cache
        )
        with state.progress.stage(stage, total) as advance:
            for batch in batches_of(self.task.load_dataloader()(store, split, options)):
                noise = slot_noise(
                    config, seed=config.seed, step=None, positions=batch.index.tolist()
                )
                yield find(self.model, self.backbone, batch, noise=noise)
                advance(len(batch))

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    def preparation(self, state: State, name: str) -> Callable[[Pixels], Pixels]:
        """How an image of one's own is cut: as those of the store that the run was trained on."""
        builder = builder_of(self.task, Path(self.run.config.data), self.store)

        def prepare(image: Pixels) -> Pixels:
            cut = builder.prepare(image) if isinstance(builder, Preparer) else image
            if cut is None:
                height, width = image.shape[:2]
                told = f"{name}: {width} × {height} pixels, unlike the images of the task"
                state.progress.note(f"warning: {told}; it is taken whole")
            return image if cut is None else cut

        return prepare

    def find_image(self, image: npt.NDArray[np.uint8]) -> Findings:
        """What the model makes of one image (S, S, 3) that nobody annotated."""
        config = self.run.config
        noise = slot_noise(config, seed=config.seed, step=None, positions=[0])
        width = self.run.schema.width
        return find_images(self.model, self.backbone, image[None], width=width, noise=noise)


def load_run(
    state: State, path: Path, data: Path | None = None, checkpoint: str = BEST
) -> LoadedRun:
    """Open a run at a checkpoint, with its store or the one at ``data``.

    Raises `DataError` where the run, its checkpoint or the store is missing, or where the store
    has another schema, and `ConfigError` for a checkpoint that no run has.
    """
    run = open_run(path)
    task = state.registry.task(run.config.task)
    place = run.checkpoint(checkpoint)
    weights = load_weights(place)
    store = open_store(data or Path(run.config.data), run.config.task)
    run.check_schema(store.schema, store.path)
    if store.image_size != run.config.image_size:
        raise DataError(
            f"store {store.path} has images of {store.image_size} pixels, run {path} was trained "
            f"on {run.config.image_size}",
            f"build it anew with --image-size {run.config.image_size}",
        )
    if data is not None:
        tell_differences(state, task, Path(run.config.data), store)
    config, encoder = run.config, task.load_schema_encoder()
    backbone, model = build(
        config, run.schema, encoder, precision=config.precision, seed=config.seed
    )
    restore(model, weights, place)
    device = _device(run.config.accelerator)
    return LoadedRun(run, task, store, backbone.to(device), model.to(device).eval())


def _device(accelerator: str) -> str:
    if accelerator == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return accelerator
