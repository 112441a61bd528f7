"""The model: an image encoder and a schema encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

from nsi_cli.models.ablation import MakeSchemaEncoder, build_schema_encoder
from nsi_cli.models.config import ModelConfig
from nsi_cli.models.image_encoder import ImageEncoder, ImageEncoding
from nsi_cli.models.layers import check_shape
from nsi_cli.schema import Schema


@dataclass(frozen=True)
class NSIOutput:
    """The outputs of both encoders for B scenes."""

    image: ImageEncoding
    primitives: Tensor  # (B, T, E), the embeddings of the primitives


class LossTerms(NamedTuple):
    """What the training loss needs of B scenes; a tuple, which Fabric and DDP can traverse."""

    slots: Tensor  # (B, K, E), the embeddings of the slots
    primitives: Tensor  # (B, T, E), the embeddings of the primitives
    error: Tensor  # the reconstruction's mean error, a scalar


class NSI(nn.Module):
    """An image encoder over frozen features, and a schema encoder.

    The backbone is not part of it: it is never trained, and its features may come from a cache.
    ``alignment`` is how primitives pick slots when its embeddings are scored.
    """

    def __init__(
        self, image_encoder: ImageEncoder, schema_encoder: nn.Module, alignment: str = "max"
    ) -> None:
        super().__init__()
        self.image_encoder = image_encoder
        self.schema_encoder = schema_encoder
        self.alignment = alignment

    def forward(
        self, features: Tensor, primitives: Tensor, present: Tensor, noise: Tensor | None = None
    ) -> NSIOutput:
        """Features (B, N, C), primitives (B, T, W), present (B, T) bool, noise (B, K, D) or None.

        Raises `NsiError` if shapes do not fit, including those of a plugin's schema encoder.
        """
        image = self.image_encoder(features, noise)
        return NSIOutput(image, self._of_primitives(primitives, present, image.embeddings))

    def learn(
        self,
        features: Tensor,
        primitives: Tensor,
        present: Tensor,
        noise: Tensor | None = None,
        sample: Tensor | None = None,
    ) -> LossTerms:
        """The terms of the loss; arguments and errors are those of `forward`.

        With a ``sample`` of tokens (B, n), only these are reconstructed.
        """
        slots, error = self.image_encoder.learn(features, noise, sample)
        return LossTerms(slots, self._of_primitives(primitives, present, slots), error)

    def embed(
        self, features: Tensor, primitives: Tensor, present: Tensor, noise: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The embeddings of slots and primitives alone, without decoding; see `forward`."""
        slots = self.image_encoder.embed(features, noise)
        return slots, self._of_primitives(primitives, present, slots)

    def _of_primitives(self, primitives: Tensor, present: Tensor, slots: Tensor) -> Tensor:
        """The embeddings of the primitives, checked to fit those of the slots (B, K, E)."""
        embeddings: Tensor = self.schema_encoder(primitives, present)
        check_shape(
            "what the schema encoder returns",
            embeddings,
            "a schema encoder maps primitives (B, T, W) and present (B, T) to (B, T, E)",
            B=len(slots),
            T=primitives.shape[1],
            E=slots.shape[-1],
        )
        return embeddings


def build_nsi(
    config: ModelConfig,
    schema: Schema,
    make_schema_encoder: MakeSchemaEncoder,
    *,
    num_tokens: int,
    channels: int,
) -> NSI:
    """A new model for a schema and a backbone with N tokens of C channels.

    Raises `ConfigError` if ``config.exclude_properties`` names an unknown property, or all of them.
    """
    image_encoder = ImageEncoder(config, num_tokens, channels)
    schema_encoder = build_schema_encoder(config, schema, make_schema_encoder)
    return NSI(image_encoder, schema_encoder, config.alignment)
