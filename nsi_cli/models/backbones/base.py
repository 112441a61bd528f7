"""The backbone: a frozen network that maps an image to tokens."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nsi_cli.models.layers import check_shape
from nsi_cli.support.errors import NsiError

TEXTURE = "texture"
"""The name that asks for the training-free backbone."""


class Backbone(nn.Module, ABC):
    """Images (B, 3, S, S) uint8 → features (B, N, C) float32, without gradient, always in eval.

    ``grid`` (h, w) is the layout of tokens on the image, row by row, N = h·w; ``appearance`` are
    the channels without position; ``image_size`` is the side S of its input; ``feature_dtype`` is
    the dtype that `features` rounds to.
    """

    feature_dtype: torch.dtype = torch.float16

    def __init__(
        self, *, grid: tuple[int, int], channels: int, appearance: slice, image_size: int
    ) -> None:
        super().__init__()
        self.grid = grid
        self.channels = channels
        self.appearance = appearance
        self.image_size = image_size

    @property
    def num_tokens(self) -> int:
        """N, the tokens of an image."""
        return self.grid[0] * self.grid[1]

    @abstractmethod
    def extract(self, images: Tensor) -> Tensor:
        """Checked images (B, 3, S, S) uint8 → features (B, N, C)."""

    @abstractmethod
    def identity(self) -> bytes:
        """What the features depend on besides the image: name, settings, weights."""

    def fingerprint(self) -> str:
        """A short hash; backbones of one fingerprint give the same features."""
        rounded = self.feature_dtype == torch.float16
        identity = self.identity() + (b"" if rounded else str(self.feature_dtype).encode())
        return hashlib.sha256(identity).hexdigest()[:16]

    def features(self, images: Tensor) -> Tensor:
        """The features (B, N, C) float32 of images, rounded to ``feature_dtype``.

        A cache keeps them in that dtype, so a run gets the same numbers with and without one.
        """
        rounded: Tensor = self(images).to(self.feature_dtype)
        return rounded.float()

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, S, S) uint8 → features (B, N, C) float32.

        Images of another size are resized. Raises `NsiError` for anything but uint8 RGB.
        """
        hint = "the backbone takes uint8 RGB images and normalises them itself"
        check_shape("images", images, hint, B=None, RGB=3, height=None, width=None)
        if images.dtype != torch.uint8:
            raise NsiError(f"images must be uint8, not {images.dtype}", hint)
        with torch.no_grad():
            return self.extract(_resized(images, self.image_size)).float()

    def train(self, mode: bool = True) -> Backbone:
        """Stay in evaluation mode."""
        super().train(False)
        return self


def _resized(images: Tensor, side: int) -> Tensor:
    """Images (B, 3, H, W) uint8 at side × side pixels, bicubic."""
    if images.shape[2:] == (side, side):
        return images
    resized = F.interpolate(images.float(), (side, side), mode="bicubic", antialias=True)
    return resized.round_().clamp_(0, 255).to(torch.uint8)
