"""The image encoder: from a backbone's tokens to slots, masks and embeddings."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from nsi_cli.models.config import ModelConfig
from nsi_cli.models.decoder import AttentionDecoder, SlotDecoder
from nsi_cli.models.layers import LayerNorm, OnRows, ProjectionHead, check_shape, mlp
from nsi_cli.models.slot_attention import SlotAttention
from nsi_cli.models.slot_init import build_slot_init


@dataclass(frozen=True)
class ImageEncoding:
    """The output of the image encoder for B images."""

    slots: Tensor  # (B, K, D)
    attention_masks: Tensor  # (B, K, N), each token's weights sum to one over slots
    slot_masks: Tensor | None  # (B, K, N), likewise; None if there is no broadcast decoder
    reconstruction: Tensor  # (B, N, C)
    embeddings: Tensor  # (B, K, E)


class ImageEncoder(nn.Module):
    """Adapter, slot attention, decoder and projection head over frozen features.

    ``num_tokens`` N and ``channels`` C are those of the backbone.
    """

    def __init__(self, config: ModelConfig, num_tokens: int, channels: int) -> None:
        super().__init__()
        self.num_tokens, self.channels = num_tokens, channels
        self.noise_shape = (config.num_slots, config.slot_dim)
        self.adapter = OnRows(LayerNorm(channels), *mlp(channels, channels, channels))
        self.slot_init = build_slot_init(config, channels)
        self.slot_attention = SlotAttention(config, channels)
        self.decoder: SlotDecoder | AttentionDecoder
        if config.reconstruct == "attention":
            self.decoder = AttentionDecoder(config, channels)
        else:
            self.decoder = SlotDecoder(config, num_tokens, channels)
        self.head = ProjectionHead(config.slot_dim, config)

    def forward(self, features: Tensor, noise: Tensor | None = None) -> ImageEncoding:
        """Features (B, N, C) of any float type, and slot noise (B, K, D) → `ImageEncoding`.

        Raises `NsiError` if the shapes differ from those that the encoder was built for.
        """
        slots, attention_masks = self._bind(features, noise)
        slot_masks: Tensor | None = None
        if isinstance(self.decoder, SlotDecoder):
            reconstruction, slot_masks = self.decoder(slots)
        else:
            reconstruction = self.decoder(slots, attention_masks)
        return ImageEncoding(slots, attention_masks, slot_masks, reconstruction, self.head(slots))

    def learn(
        self, features: Tensor, noise: Tensor | None = None, sample: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """What a training step needs: the embeddings (B, K, E) and the reconstruction's error.

        The error is the mean over images and tokens of Σ_c (reconstruction − features)², equal to
        that of `forward` at a fraction of the time and memory. With a ``sample`` of tokens (B, n)
        of `token_sample`, it is the mean over these, an estimate. Raises like `forward`.
        """
        slots, attention_masks = self._bind(features, noise)
        if isinstance(self.decoder, SlotDecoder):
            error = self.decoder.error(slots, features, sample)
        else:
            error = self.decoder.error(slots, attention_masks, features, sample)
        return self.head(slots), error

    def embed(self, features: Tensor, noise: Tensor | None = None) -> Tensor:
        """The embeddings (B, K, E) alone, without decoding. Raises like `forward`."""
        slots, _ = self._bind(features, noise)
        embeddings: Tensor = self.head(slots)
        return embeddings

    def _bind(self, features: Tensor, noise: Tensor | None) -> tuple[Tensor, Tensor]:
        """Slots (B, K, D) bound to the tokens, and the attention masks (B, K, N)."""
        self._check(features, noise)
        tokens = self.adapter(features)  # (B, N, C)
        bound: tuple[Tensor, Tensor] = self.slot_attention(tokens, self.slot_init(tokens, noise))
        return bound

    def _check(self, features: Tensor, noise: Tensor | None) -> None:
        hint = "they come from another backbone, grid or image size than the model was built for"
        check_shape("features", features, hint, B=None, N=self.num_tokens, C=self.channels)
        if noise is not None:
            slots, width = self.noise_shape
            hint = "draw it with slot_noise, one position for each image"
            check_shape("slot noise", noise, hint, B=len(features), K=slots, D=width)
