"""The pair of encoders that a training ties together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from nsi_cli.models.config import ModelConfig
from nsi_cli.models.image_encoder import ImageEncoder, ImageEncoding
from nsi_cli.models.layers import check_shape
from nsi_cli.schema import Schema


@dataclass(frozen=True)
class NSIOutput:
    """Both encoders' view of B scenes."""

    image: ImageEncoding
    primitives: Tensor  # (B, T, E), the embeddings of the primitives


class NSI(nn.Module):
    """An image encoder over frozen features, and a schema encoder.

    The backbone is no part of it: it is never trained, and its features may come from a cache.
    """

    def __init__(self, image_encoder: ImageEncoder, schema_encoder: nn.Module) -> None:
        super().__init__()
        self.image_encoder = image_encoder
        self.schema_encoder = schema_encoder

    def forward(
        self, features: Tensor, primitives: Tensor, present: Tensor, noise: Tensor | None = None
    ) -> NSIOutput:
        """Features (B, N, C), primitives (B, T, W), present (B, T) bool, noise (B, K, D) or None.

        Raises `NsiError` where shapes do not fit, also those of a plugin's schema encoder.
        """
        image = self.image_encoder(features, noise)
        embeddings = self.schema_encoder(primitives, present)
        check_shape(
            "what the schema encoder returns",
            embeddings,
            "a schema encoder maps primitives (B, T, W) and present (B, T) to (B, T, E)",
            B=len(features),
            T=primitives.shape[1],
            E=image.embeddings.shape[-1],
        )
        return NSIOutput(image, embeddings)


def build_nsi(
    config: ModelConfig,
    schema: Schema,
    make_schema_encoder: Callable[[Schema, ModelConfig], nn.Module],
    *,
    num_tokens: int,
    channels: int,
) -> NSI:
    """A fresh model for a schema and for a backbone of N tokens of C channels."""
    return NSI(ImageEncoder(config, num_tokens, channels), make_schema_encoder(schema, config))
