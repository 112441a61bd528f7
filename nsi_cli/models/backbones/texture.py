"""Training-free texture statistics of an image around each point of a grid.

Oriented filter energies at several scales, local colour moments, soft colour histograms and
position: the ingredients of classical texture segmentation (Malik & Perona 1990; Portilla &
Simoncelli 2000), pooled to tokens. The difference of each token from the image's
median is included: it tells figure from ground, and a layer that sees one token at a time cannot
compute it. This backbone makes a run without a network or a GPU meaningful.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from nsi_cli.models.backbones.base import TEXTURE, Backbone

ORIENTATIONS = 8  # sixteen filters, which suit vector units
SCALES = 3
_REVISION = 3  # part of the fingerprint: increment it with every change of the features
_SIDE = 9  # pixels of a filter's side
_WAVELENGTH = 4.5  # pixels of one period of a filter
_ENVELOPE = 1.8  # pixels of a filter's standard deviation
_WINDOW = 0.35  # cells of a pooling window's standard deviation
_NOISE = 0.01  # contrast below which there is none, in a logarithm
_BINS = ((8, 0.05, 0.95), (6, -0.25, 0.3), (6, -0.2, 0.25))  # count, first, last; a colour channel
_POSITION = 2 + 2 * 4  # x, y; sine and cosine of both at two frequencies

# The shift and scale of each kind of channel, so that all vary about equally.
_MEAN = ((0.45, 0.2), (0.04, 0.1), (0.05, 0.1))  # a colour channel each
_LOG = (-3.5, 1.3)
_HISTOGRAM = (0.15, 0.2)


class TextureBackbone(Backbone):
    """Texture statistics on grid × grid tokens, each a soft Gaussian window; no weights.

    Channels, in this order: the mean of three opponent colours and the logarithm of the spread
    of each; a soft histogram of each; for each scale the logarithms of the mean and the maximum
    over orientations of the energy in luminance (invariant to a texture's rotation); all these
    again, less their median over the image; for each scale the logarithms of the oriented energies
    and of the variation of both chromatic channels; position. ``appearance`` excludes position.
    """

    filters: Tensor
    position: Tensor

    def __init__(self, image_size: int, grid: int, position_weight: float = 2.0) -> None:
        invariant = 6 + sum(count for count, _, _ in _BINS) + 2 * SCALES
        appearance = 2 * invariant + (ORIENTATIONS + 2) * SCALES
        super().__init__(
            grid=(grid, grid),
            channels=appearance + _POSITION,
            appearance=slice(0, appearance),
            image_size=image_size,
        )
        self.register_buffer("filters", _quadrature_pairs(), persistent=False)
        self.position_weight = position_weight
        position = position_weight * _position_channels(grid)
        self.register_buffer("position", position, persistent=False)
        for scale in range(SCALES + 1):
            weights = _windows(image_size // 2**scale, grid)
            self.register_buffer(f"windows_{scale}", weights, persistent=False)

    def identity(self) -> bytes:
        """Name, revision and settings; there are no weights."""
        settings = f"{self.image_size} {self.grid} {self.position_weight:g}"
        return f"{TEXTURE} {_REVISION} {settings}".encode()

    def extract(self, images: Tensor) -> Tensor:
        """Images (B, 3, S, S) uint8 → features (B, N, C)."""
        with torch.autocast(images.device.type, enabled=False):
            level = colours = _opponent_colours(images.float() / 255)  # (B, 3, S, S)
            invariant = [self._moments(colours), self._histograms(colours)]
            detail = []
            for scale in range(SCALES):
                coarser = F.avg_pool2d(level, 2)
                oriented = self._oriented(level[:, :1], scale)
                invariant += [oriented.mean(1, keepdim=True), oriented.amax(1, keepdim=True)]
                detail += [oriented, self._chromatic(level[:, 1:], coarser[:, 1:], scale)]
                level = coarser
        profile = torch.cat(invariant, 1).flatten(2)  # (B, invariant, N)
        contrast = profile - profile.median(-1, keepdim=True).values
        appearance = torch.cat([profile, contrast, torch.cat(detail, 1).flatten(2)], 1)
        position = self.position.expand(len(images), -1, -1)
        return torch.cat([appearance.transpose(1, 2), position], -1)

    def _pool(self, x: Tensor, scale: int) -> Tensor:
        """(B, ch, s, s) → (B, ch, grid, grid), the mean under each token's window."""
        weights: Tensor = getattr(self, f"windows_{scale}")
        return weights @ (x @ weights.T)

    def _moments(self, colours: Tensor) -> Tensor:
        """(B, 6, grid, grid): mean and log spread of each colour."""
        mean = self._pool(colours, 0)
        spread = (self._pool(colours.square(), 0) - mean.square()).clamp(min=0).sqrt()
        shift, size = mean.new_tensor(_MEAN).T[:, :, None, None]
        return torch.cat([(mean - shift) / size, _logarithm(spread)], 1)

    def _oriented(self, luminance: Tensor, scale: int) -> Tensor:
        """(B, ORIENTATIONS, grid, grid) of one level of the pyramid (B, 1, s, s)."""
        padded = F.pad(luminance, [_SIDE // 2] * 4, mode="replicate")
        even, odd = F.conv2d(padded, self.filters).chunk(2, 1)
        amplitude = even.square_().addcmul_(odd, odd).sqrt_()  # (B, ORIENTATIONS, s, s)
        return _logarithm(self._pool(amplitude, scale))

    def _chromatic(self, chroma: Tensor, coarser: Tensor, scale: int) -> Tensor:
        """(B, 2, grid, grid): how chroma (B, 2, s, s) varies in blocks of 2 × 2 pixels, whose
        means are ``coarser``."""
        variance = F.avg_pool2d(chroma.square(), 2) - coarser.square()
        return _logarithm(self._pool(variance.clamp_(min=0).sqrt_(), scale + 1))

    def _histograms(self, colours: Tensor) -> Tensor:
        """(B, Σ bins, grid, grid): the share of a window near each of some colours."""
        bins = []
        for channel, (count, first, last) in enumerate(_BINS):
            width = (last - first) / (count - 1)
            centres = torch.linspace(first, last, count, device=colours.device)
            values = colours[:, channel : channel + 1].clamp(first, last)
            bins.append((values - centres[:, None, None]).abs_().mul_(-1 / width).add_(1).relu_())
        pooled = self._pool(torch.cat(bins, 1), 0)
        shift, size = _HISTOGRAM
        return (pooled.sqrt() - shift) / size


def _logarithm(amplitude: Tensor) -> Tensor:
    shift, size = _LOG
    return ((amplitude + _NOISE).log() - shift) / size


def _opponent_colours(rgb: Tensor) -> Tensor:
    """(B, 3, S, S) in [0, 1] → luminance, red − green and yellow − blue, (B, 3, S, S)."""
    red, green, blue = rgb.unbind(1)
    return torch.stack([(red + green + blue) / 3, red - green, (red + green) / 2 - blue], 1)


def _offsets() -> Tensor:
    return torch.arange(_SIDE, dtype=torch.float64) - _SIDE // 2


def _quadrature_pairs() -> Tensor:
    """Gabor filters (2·ORIENTATIONS, 1, side, side): all even ones, then all odd ones.

    Each has mean zero and unit response to a wave of contrast one at its own frequency.
    """
    y, x = torch.meshgrid(_offsets(), _offsets(), indexing="ij")
    envelope = torch.exp(-(x.square() + y.square()) / (2 * _ENVELOPE**2))
    angles = torch.arange(ORIENTATIONS, dtype=torch.float64) * (math.pi / ORIENTATIONS)
    along = angles.cos()[:, None, None] * x + angles.sin()[:, None, None] * y
    phase = along * (2 * math.pi / _WAVELENGTH)
    even, odd = envelope * phase.cos(), envelope * phase.sin()
    even = even - envelope * (even.sum((1, 2), keepdim=True) / envelope.sum())
    unit = 2 / envelope.sum()
    return (torch.cat([even, odd]) * unit)[:, None].float()


def _windows(side: int, grid: int) -> Tensor:
    """(grid, side): each row the weights of a Gaussian around the middle of its cell."""
    pixels = (torch.arange(side, dtype=torch.float64) + 0.5) * (grid / side)  # in cells
    cells = torch.arange(grid, dtype=torch.float64) + 0.5
    weights = torch.exp(-(pixels - cells[:, None]).square() / (2 * _WINDOW**2))
    return (weights / weights.sum(1, keepdim=True)).float()


def _position_channels(grid: int) -> Tensor:
    """(N, P): x and y in [−1, 1], then sine and cosine of both at half and one wave a unit."""
    axis = (torch.arange(grid) + 0.5) * (2 / grid) - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    position = torch.stack([x, y], -1).flatten(0, 1)  # (N, 2)
    waves = [wave(math.pi * k * position) for k in (1, 2) for wave in (torch.sin, torch.cos)]
    return torch.cat([position, *waves], -1)
