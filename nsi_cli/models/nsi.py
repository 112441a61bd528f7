"""The pair of encoders that a training ties together."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from nsi_cli.models.ablation import MakeSchemaEncoder, build_schema_encoder
from nsi_cli.models.config import ModelConfig
from nsi_cli.models.image_encoder import ImageEncoder, ImageEncoding
from nsi_cli.models.layers import check_shape
from nsi_cli.schema import Schema


@dataclass(frozen=True)
class NSIOutput:
    """Both encoders' view of B scenes."""

    image: ImageEncoding
    primitives: Tensor  # (B, T, E), the embeddings of the primitives


@dataclass(frozen=True)
class Learning:
    """What the objective is made of, for B scenes."""

    slots: Tensor  # (B, K, E), the embeddings of the slots
    primitives: Tensor  # (B, T, E), the embeddings of the primitives
    error: Tensor  # the reconstruction's mean error, a scalar


class NSI(nn.Module):
    """An image encoder over frozen features, and a schema encoder.

    The backbone is no part of it: it is never trained, and its features may come from a cache.
    ``alignment`` is how its primitives pick slots, for whoever scores its embeddings.
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

        Raises `NsiError` where shapes do not fit, also those of a plugin's schema encoder.
        """
        image = self.image_encoder(features, noise)
        return NSIOutput(image, self._of_primitives(primitives, present, image.embeddings))

    def learn(
        self, features: Tensor, primitives: Tensor, present: Tensor, noise: Tensor | None = None
    ) -> Learning:
        """What a training step needs of both encoders; takes and raises what `forward` does."""
        slots, error = self.image_encoder.learn(features, noise)
        return Learning(slots, self._of_primitives(primitives, present, slots), error)

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
    """A fresh model for a schema and for a backbone of N tokens of C channels.

    Raises `ConfigError` where ``config.without`` names no property of the schema, or all.
    """
    image_encoder = ImageEncoder(config, num_tokens, channels)
    schema_encoder = build_schema_encoder(config, schema, make_schema_encoder)
    return NSI(image_encoder, schema_encoder, config.alignment)
