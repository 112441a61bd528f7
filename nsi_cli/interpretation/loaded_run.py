"""A trained run with its model at one of its checkpoints, and its store."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nsi_cli.data.build.differences import builder_of, differences, options_of
from nsi_cli.data.loading.loader import LoaderOptions
from nsi_cli.data.loading.workers import batches_of
from nsi_cli.data.store.reader import Store, open_store
from nsi_cli.evaluation.candidates import with_range
from nsi_cli.evaluation.predict import predict, predict_images, primitives_encoder
from nsi_cli.evaluation.predictions import Floats, Predictions
from nsi_cli.interpretation.exported import Known, is_export, read_known
from nsi_cli.interpretation.grounding import Grounded, ground
from nsi_cli.interpretation.query import parse_query
from nsi_cli.interpretation.search import Retrieved, Search
from nsi_cli.interpretation.slot_descriptions import (
    Descriptions,
    ImageDescription,
    Reader,
    object_scores,
)
from nsi_cli.interpretation.uploads import Pixels, fitted, read_image
from nsi_cli.models.backbones.base import Backbone
from nsi_cli.models.build import build
from nsi_cli.models.features import prepare_cache
from nsi_cli.models.nsi import NSI
from nsi_cli.models.slot_init import slot_noise
from nsi_cli.plugins.contract import Preparer, Task
from nsi_cli.plugins.discovery.registry import TaskRegistry
from nsi_cli.schema import Schema
from nsi_cli.schema.schema import Value
from nsi_cli.support.errors import DataError
from nsi_cli.support.progress import SILENT, Progress
from nsi_cli.training.checkpoint import BEST, load_weights, restore
from nsi_cli.training.run import Run, open_run

TRAIN = "train"

Own = Path | str | Pixels
"""An image of the user's own: a file, or an array (H, W, 3) uint8."""

REFERENCE_SCENES = 256
"""Number of scenes of the train split whose objects define what is familiar."""


@dataclass(frozen=True)
class LoadedRun:
    """A run with everything that evaluation and interpretation need."""

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
        if self.store.path.resolve() != Path(self.run.config.data).resolve():
            names.append(self.store.path.name)
        return "".join(f"-{name}" for name in names)

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
                noise = slot_noise(
                    config,
                    seed=config.seed + (slot_sample << 64),  # never the seed of another run
                    step=None,
                    positions=batch.index.tolist(),
                )
                found = predict(self.model, self.backbone, batch, noise=noise)
                yield found if mask_size is None else found.with_masks_of(mask_size)
                advance(len(batch))

    def untrained(self, seed: int = 0) -> LoadedRun:
        """The same run with new weights, as at the start of a training with another seed."""
        config = self.run.config
        encoder = self.task.load_schema_encoder()
        _, model = build(
            config, self.run.schema, encoder, precision=config.precision,
            seed=config.seed + 1 + seed,
        )  # fmt: skip
        return replace(self, model=model.to(self.device).eval())

    def retrieve(self, query: str, **options: Any) -> Retrieved:
        """The images of a split that score highest with a query; see `retrieve_all`."""
        return self.retrieve_all([query], **options)[0]

    def retrieve_all(
        self,
        queries: Sequence[str],
        *,
        split: str = "test",
        top: int = 5,
        batch_size: int = 64,
        progress: Progress = SILENT,
    ) -> list[Retrieved]:
        """The ``top`` images of a split that score highest with each query, in one pass.

        `nsi_cli.interpretation.query.parse_query` defines what a query is. Raises `ConfigError` if
        a text is not a query, and for a property that was excluded from training.
        """
        schema, excluded = self.run.schema, self.run.config.excluded
        parsed = [parse_query(query, schema, excluded) for query in queries]
        seen, encode = self.seen(split), primitives_encoder(self.model)
        searches = [Search(query, seen, encode, top, excluded) for query in parsed]
        for batch in self.predictions(split, batch_size, progress, "search"):
            for search in searches:
                search.add(batch)
        ids = self.store.ids(split)
        return [
            search.retrieved(split, ids, lambda index: self.store.images(split, index))
            for search in searches
        ]

    @cached_property
    def reader(self) -> Reader:
        """Describes slots; its reference is the objects of a sample of the train split."""
        excluded = self.run.config.excluded
        encode = primitives_encoder(self.model)
        reader = Reader.of(self.seen(self.reference_split), encode, self.run.config.tau, excluded)
        if self.known is not None:
            return replace(reader, reference=self.known.reference)
        scores = [
            object_scores(reader, batch)
            for batch in self.predictions(self.reference_split, 64, sample=REFERENCE_SCENES)
        ]
        return replace(reader, reference=np.sort(np.concatenate(scores)))

    def describe(self, images: Sequence[Own], *, progress: Progress = SILENT) -> Descriptions:
        """Describe what each slot of each image shows; images are files or uint8 arrays (H, W, 3).

        Images are cropped like those of the run's store. Raises `DataError` for a file or an array
        that is not an image.
        """
        return Descriptions(
            tuple(
                ImageDescription(name, image, found.masks[0], tuple(self.reader.describe(found)))
                for name, image, found in self._own_images(images, progress)
            )
        )

    def ground(
        self,
        images: Sequence[Own],
        queries: Sequence[str] | None = None,
        *,
        progress: Progress = SILENT,
    ) -> Grounded:
        """Where queries are in images: the slot of each image that scores highest with each.

        The queries are all values of all categorical properties if None. Images are those of
        `describe`, queries those of `retrieve_all`; raises what these do.
        """
        schema, excluded = self.run.schema, self.run.config.excluded
        if queries is None:
            kept = [item for item in schema.categorical if item.name not in excluded]
            queries = [f"{item.name}={shlex.quote(v)}" for item in kept for v in item.values]
        parsed = [parse_query(query, schema, excluded) for query in queries]
        own = list(self._own_images(images, progress))
        return ground(
            parsed, self.seen(self.reference_split), primitives_encoder(self.model), own, excluded
        )

    def embed(self, images: Sequence[Own], *, progress: Progress = SILENT) -> Floats:
        """The embeddings of the slots of images, (n, K, E); images are those of `describe`."""
        found = [found.slot_embeddings for _, _, found in self._own_images(images, progress)]
        return np.concatenate(found)

    def embed_objects(self, scenes: Sequence[Sequence[Mapping[str, Value]]]) -> list[Floats]:
        """The embeddings (objects, E) of the objects of each scene, from their properties by name.

        Raises `SchemaError` for what is no object of the schema.
        """
        encode, embedded = primitives_encoder(self.model), []
        for objects in scenes:
            rows = self.run.schema.encode(objects)
            embedded.append(encode(rows[None], np.ones((1, len(rows)), bool))[0])
        return embedded

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

    def _own_images(
        self, images: Sequence[Own], progress: Progress
    ) -> Iterator[tuple[str, Pixels, Predictions]]:
        """The name, the pixels (S, S, 3) and the predictions of each image."""
        for number, given in enumerate(images, start=1):
            if isinstance(given, np.ndarray):
                name = f"image {number}"
                image = fitted(given, self.run.config.image_size, self._crop(name, progress))
            else:
                name, image = Path(given).name, self.read_image(Path(given), progress)
            yield name, image, self.predict_image(image)

    def predict_image(self, image: Pixels) -> Predictions:
        """The model's predictions for one image (S, S, 3) without annotation."""
        config = self.run.config
        noise = slot_noise(config, seed=config.seed, step=None, positions=[0])
        width = self.run.schema.width
        return predict_images(self.model, self.backbone, image[None], width=width, noise=noise)

    def read_image(self, path: Path, progress: Progress = SILENT) -> Pixels:
        """An image file as the model expects it, (S, S, 3), cropped like those of the run's store.

        Warns if the task's builder cannot crop it, and then uses the whole image. Raises
        `DataError` for a file that is not an image.
        """
        return read_image(path, self.run.config.image_size, self._crop(path.name, progress))

    @property
    def build_options(self) -> dict[str, Any]:
        """The options with which the store was built that the run was trained on."""
        if self.known is not None:
            return self.known.build_options
        return options_of(Path(self.run.config.data), self.store)

    @cached_property
    def _builder(self) -> Any:
        """The schema builder of the run's store; None if it does not accept the options."""
        return builder_of(self.task, self.build_options)

    def _crop(self, name: str, progress: Progress) -> Callable[[Pixels], Pixels]:
        """What crops an image like those of the run's store."""
        builder = self._builder

        def crop(image: Pixels) -> Pixels:
            cropped = builder.prepare(image) if isinstance(builder, Preparer) else image
            if cropped is None:
                height, width = image.shape[:2]
                progress.note(
                    f"warning: {name}: {width} × {height} pixels, unlike the images of the "
                    "task; it is used whole"
                )
            return image if cropped is None else cropped

        return crop


def load_run(
    path: Path,
    registry: TaskRegistry,
    *,
    data: Path | None = None,
    checkpoint: str = BEST,
    progress: Progress = SILENT,
) -> LoadedRun:
    """Open a run at a checkpoint, with its store or the one at ``data``.

    Notes the differences in how the store at ``data`` was built. Raises `DataError` if the run, its
    checkpoint or the store is missing, or if the store has another schema or image size, and
    `ConfigError` for an unknown checkpoint name.
    """
    run = open_run(path)
    config, task = run.config, registry.task(run.config.task)
    known = read_known(path) if is_export(path) else None
    folder = path if known is not None else run.checkpoint(checkpoint)
    weights = load_weights(folder)
    store = None
    if known is None or data is not None:
        store = _open_store(run, data)
    if data is not None and known is None and store is not None:
        for line in differences(task, Path(config.data), store):
            progress.note(line)
    encoder = task.load_schema_encoder()
    backbone, model = build(
        config, run.schema, encoder, precision=config.precision, seed=config.seed
    )
    restore(model, weights, folder)
    device = _device(config.accelerator)
    backbone, model = backbone.to(device), model.to(device).eval()
    return LoadedRun(run, checkpoint, task, store, backbone, model, known)


def _open_store(run: Run, data: Path | None) -> Store:
    """The run's store, or the one at ``data``, which must fit the run."""
    config = run.config
    store = open_store(data or Path(config.data), config.task)
    run.check_schema(store.schema, store.path)
    if store.image_size != config.image_size:
        raise DataError(
            f"store {store.path} has images of {store.image_size} pixels, run {run.path} was "
            f"trained on {config.image_size}",
            f"build it again with --image-size {config.image_size}",
        )
    return store


def _device(accelerator: str) -> str:
    if accelerator == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return accelerator
