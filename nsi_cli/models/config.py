"""The options of a model's architecture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Interval

from nsi_cli.support.options import option

_IMAGE = "Image encoder"
_SCHEMA = "Schema encoder"


@dataclass(frozen=True)
class ModelConfig:
    """The options of a model's architecture. The defaults are the published ones."""

    backbone: str = option(
        "vit_base_patch8_224.dino",
        help="Frozen backbone: the name of a timm vision transformer, or 'texture' for "
        "training-free texture statistics.",
        group=_IMAGE,
    )
    backbone_weights: str = option(
        "", help="File of the backbone's weights, used instead of the model hub.", group=_IMAGE
    )
    image_size: Annotated[int, Interval(ge=16, le=4096)] = option(
        224, help="Side of the square images, in pixels.", group=_IMAGE
    )
    normalize: Literal["backbone", "none"] = option(
        "backbone",
        help="Normalisation of pixels for a timm backbone: with its own mean and standard "
        "deviation, or only a division by 255. It has no effect on the texture backbone.",
        group=_IMAGE,
    )
    feature_precision: Literal["16", "32"] = option(
        "16",
        help="Bits per number of the frozen backbone's features, cached or not.",
        group=_IMAGE,
    )
    texture_grid: Annotated[int, Interval(ge=2, le=256)] = option(
        14, help="Number of tokens along each side, for the texture backbone.", group=_IMAGE
    )
    texture_position: Annotated[float, Interval(ge=0, le=100)] = option(
        2.0,
        help="Weight of the position among the texture backbone's features.",
        group=_IMAGE,
    )
    num_slots: Annotated[int, Interval(ge=1, le=256)] = option(
        15, help="Number of slots per image.", group=_IMAGE
    )
    slot_dim: Annotated[int, Interval(ge=1, le=8192)] = option(
        192, help="Width of a slot.", group=_IMAGE
    )
    num_slot_heads: Annotated[int, Interval(ge=1, le=256)] = option(
        1, help="Number of heads of slot attention.", group=_IMAGE
    )
    num_iterations: Annotated[int, Interval(ge=1, le=100)] = option(
        5, help="Number of rounds of slot attention.", group=_IMAGE
    )
    mlp_hidden_size: Annotated[int, Interval(ge=1, le=16_384)] = option(
        192, help="Hidden width of the MLP on the slots.", group=_IMAGE
    )
    slot_init: Literal["gaussian", "learned", "tokens"] = option(
        "gaussian",
        help="Initial slots: drawn from one learned Gaussian, learned one by one, or taken from "
        "tokens that are far apart from each other.",
        group=_IMAGE,
    )
    reconstruct: Literal["decoder", "attention"] = option(
        "decoder",
        help="How tokens are reconstructed: by the broadcast decoder, or by the attention weights.",
        group=_IMAGE,
    )
    decoder_hidden_size: Annotated[int, Interval(ge=1, le=16_384)] = option(
        1024, help="Hidden width of the decoder.", group=_IMAGE
    )
    d_model: Annotated[int, Interval(ge=1, le=8192)] = option(
        192, help="Width of the schema encoder.", group=_SCHEMA
    )
    num_blocks: Annotated[int, Interval(ge=0, le=128)] = option(
        8, help="Number of transformer blocks over the primitives.", group=_SCHEMA
    )
    num_heads: Annotated[int, Interval(ge=1, le=256)] = option(
        8, help="Number of heads of each transformer block.", group=_SCHEMA
    )
    max_program_len: Annotated[int, Interval(ge=1, le=4096)] = option(
        10, help="Largest number of primitives per scene.", group=_SCHEMA
    )
    mask_absent: bool = option(
        True,
        help="Mask absent primitives in the schema encoder's attention. Otherwise each scene is "
        "padded to --max-program-len with rows of zeros, which the attention includes.",
        group=_SCHEMA,
    )
    exclude_properties: str = option(
        "",
        help="Properties to exclude from the schema encoder, separated by commas.",
        group=_SCHEMA,
        old_name="without",
    )
    embed_dim: Annotated[int, Interval(ge=1, le=8192)] = option(
        64, help="Width of the common space of slots and primitives.", group="Alignment"
    )
    alignment: Literal["max", "hungarian"] = option(
        "max",
        help="How primitives pick slots: max lets each pick its best one, hungarian gives each a "
        "different one.",
        group="Alignment",
    )
    dropout: Annotated[float, Interval(ge=0.0, lt=1.0)] = option(
        0.1, help="Dropout in both projection heads.", group="Alignment"
    )

    @property
    def excluded(self) -> tuple[str, ...]:
        """The names of the properties that are excluded from the schema encoder."""
        return tuple(name.strip() for name in self.exclude_properties.split(",") if name.strip())

    def faults(self) -> list[str]:
        """The combinations of options that are invalid, one line each."""
        found = []
        if self.d_model % self.num_heads:
            found.append(
                f"--d-model {self.d_model} is not a multiple of --num-heads {self.num_heads}"
            )
        if self.slot_dim % self.num_slot_heads:
            heads = self.num_slot_heads
            found.append(
                f"--slot-dim {self.slot_dim} is not a multiple of --num-slot-heads {heads}"
            )
        return found
