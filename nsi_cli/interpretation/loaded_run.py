"""A trained run that answers questions: about its splits, and about images of the user's own."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from nsi_cli.evaluation.predict import primitives_encoder
from nsi_cli.evaluation.predictions import Floats
from nsi_cli.interpretation.grounding import Grounded, ground
from nsi_cli.interpretation.own_images.batches import (
    OwnBatch,
    Owns,
    as_sequence,
    in_batches,
    read_own,
)
from nsi_cli.interpretation.query import parse_query
from nsi_cli.interpretation.run_predictions import RunPredictions
from nsi_cli.interpretation.scenes.nearest import NearSlots, nearest_slots
from nsi_cli.interpretation.scenes.retrieval import (
    ImagesOfSchema,
    SchemasOfImage,
    images_of_schemas,
    schemas_of_images,
)
from nsi_cli.interpretation.scenes.scenes import Scenes
from nsi_cli.interpretation.search import Retrieved, Search
from nsi_cli.interpretation.slot_descriptions import (
    Descriptions,
    ImageDescription,
    Reader,
    object_scores,
)
from nsi_cli.schema.schema import Value
from nsi_cli.support.errors import ConfigError
from nsi_cli.support.progress import SILENT, Progress

REFERENCE_SCENES = 256
"""Number of scenes of the train split whose objects define what is familiar."""

_AT_ONCE = {"cpu": 16}
_AT_ONCE_ELSEWHERE = 64
"""Images of the user's own that go through the model together."""


@dataclass(frozen=True)
class LoadedRun(RunPredictions):
    """A run with its model at one of its checkpoints, and its store.

    Images of the user's own are files, arrays (H, W, 3) uint8 or Pillow images, one or several.
    They are cropped like those of the run's store. Apart from rounding, results do not depend on
    which images are given together. Methods that take images raise `DataError` for what is not an
    image.
    """

    def scenes(self, split: str = "test") -> Scenes:
        """The scenes of a split with the predictions for them, which are made when needed."""
        return Scenes(self, split)

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

    def retrieve_schemas(
        self,
        images: Owns,
        *,
        split: str = "test",
        top: int = 5,
        batch_size: int = 64,
        progress: Progress = SILENT,
    ) -> list[SchemasOfImage]:
        """The ``top`` scenes of a split whose objects score highest with each image.

        The score is the one of the training: the sum over the objects of the score with their slot.
        """
        own = list(self.own_images(images, progress))
        batches = self.predictions(split, batch_size, progress, "search")
        return schemas_of_images(own, batches, self.scenes(split), top)

    def retrieve_images(
        self,
        schemas: Sequence[Sequence[Mapping[str, Value]]],
        *,
        split: str = "test",
        top: int = 5,
        batch_size: int = 64,
        progress: Progress = SILENT,
    ) -> list[ImagesOfSchema]:
        """The ``top`` images of a split that score highest with each schema.

        A schema is a list of objects, each with all properties by name; None is a missing value.
        The score is that of `retrieve_schemas`. Raises `ConfigError` for a schema without objects
        and `SchemaError` for what is no object of the run's schema.
        """
        if not all(schemas):
            raise ConfigError("a schema without objects fits every image", "give it an object")
        embedded = self.embed_objects(schemas)
        batches = self.predictions(split, batch_size, progress, "search")
        return images_of_schemas(schemas, embedded, batches, self.scenes(split), top)

    def retrieve_slots(
        self,
        slots: Floats,
        *,
        split: str = "test",
        top: int = 5,
        batch_size: int = 64,
        progress: Progress = SILENT,
    ) -> list[NearSlots]:
        """The ``top`` images of a split with the slots nearest to each of ``slots`` (n, E).

        ``slots`` are embeddings, from a scene or from `embed`; one of shape (E,) is taken too.
        Nearness is the cosine. Raises `ConfigError` for another shape.
        """
        wanted = np.atleast_2d(np.asarray(slots, np.float32))
        if wanted.ndim != 2 or wanted.shape[1] != self.run.config.embed_dim:
            raise ConfigError(
                f"slot embeddings of shape {np.shape(slots)} are not (n, "
                f"{self.run.config.embed_dim})",
                "take them from scene.slot_embeddings, or from run.embed(images)[0]",
            )
        batches = self.predictions(split, batch_size, progress, "search")
        return nearest_slots(wanted, batches, self.scenes(split), top)

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

    def describe(self, images: Owns, *, progress: Progress = SILENT) -> Descriptions:
        """Describe what each slot of each image shows: values with probabilities, familiarity."""
        return Descriptions(
            tuple(
                ImageDescription(*one)
                for batch in self.own_images(images, progress)
                for one in zip(
                    batch.names,
                    batch.images,
                    batch.predictions.masks,
                    self.reader.describe(batch.predictions),
                    strict=True,
                )
            )
        )

    def ground(
        self,
        images: Owns,
        queries: str | Sequence[str] | None = None,
        *,
        progress: Progress = SILENT,
    ) -> Grounded:
        """Where queries are in images: the slot of each image that scores highest with each.

        The queries are all values of all categorical properties if None. They are those of
        `retrieve_all`; raises what it does.
        """
        schema, excluded = self.run.schema, self.run.config.excluded
        if queries is None:
            kept = [item for item in schema.categorical if item.name not in excluded]
            queries = [f"{item.name}={shlex.quote(v)}" for item in kept for v in item.values]
        texts = [queries] if isinstance(queries, str) else queries
        parsed = [parse_query(text, schema, excluded) for text in texts]
        seen, encode = self.seen(self.reference_split), primitives_encoder(self.model)
        return ground(parsed, seen, encode, self.own_images(images, progress), excluded)

    def embed(self, images: Owns, *, progress: Progress = SILENT) -> Floats:
        """The embeddings of the slots of images, (n, K, E)."""
        config = self.run.config
        none = np.zeros((0, config.num_slots, config.embed_dim), np.float32)
        found = [batch.predictions.slot_embeddings for batch in self.own_images(images, progress)]
        return np.concatenate([none, *found])

    def embed_objects(self, schemas: Sequence[Sequence[Mapping[str, Value]]]) -> list[Floats]:
        """The embeddings (objects, E) of the objects of each schema, from their properties by name.

        Raises `SchemaError` for what is no object of the run's schema.
        """
        encode, embedded = primitives_encoder(self.model), []
        for objects in schemas:
            if isinstance(objects, Mapping):
                raise ConfigError(
                    "a schema is a list of objects, not an object", "put the object in a list"
                )
            rows = self.run.schema.encode(objects)
            embedded.append(encode(rows[None], np.ones((1, len(rows)), bool))[0])
        return embedded

    def own_images(self, images: Owns, progress: Progress = SILENT) -> Iterator[OwnBatch]:
        """The predictions for images of the user's own, some images at a time."""
        size = self.run.config.image_size
        read = read_own(as_sequence(images), size, self.builder, progress)
        at_once = _AT_ONCE.get(self.device.type, _AT_ONCE_ELSEWHERE)
        for names, pixels in in_batches(read, at_once):
            yield OwnBatch(names, pixels, self.predict_images(pixels))
