"""The layers that the encoders share, with the published initialisation.

The release of Dedhia & Jha (arXiv 2403.07887) draws weights in two ways. The adapter, slot
attention and the transformer blocks use Xavier uniform, Kaiming uniform before a ReLU, and zero
biases; a GRU's input weights are Xavier, its recurrent ones orthogonal: `linear`,
`linear_before_relu`, `mlp`, `GRUCell`. The decoders, the projection heads and the layers on
properties keep PyTorch's default for a linear layer, weights and biases uniform within
±fan_in^-½: `torch.nn.Linear` and `default_mlp`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nsi_cli.models.config import ModelConfig
from nsi_cli.support.errors import NsiError


def linear(inputs: int, outputs: int, *, bias: bool = True, gain: float = 1.0) -> nn.Linear:
    """A linear layer: weights Xavier uniform with ``gain``, bias zero."""
    layer = nn.Linear(inputs, outputs, bias=bias)
    nn.init.xavier_uniform_(layer.weight, gain)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


def linear_before_relu(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer whose output goes through a ReLU: weights Kaiming uniform, bias zero."""
    layer = nn.Linear(inputs, outputs)
    nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(layer.bias)
    return layer


class OnRows(nn.Sequential):
    """Layers that treat every row of (…, D) alike, applied to all rows as one matrix.

    A linear layer returns a view of a matrix if its input has more axes. A ReLU that overwrites a
    view makes the backward pass copy the whole gradient twice; one that overwrites a matrix does
    not.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(…, D) → (…, outputs)."""
        rows = x.flatten(0, -2)
        for layer in self:
            rows = layer(rows)
        return rows.view(*x.shape[:-1], rows.shape[-1])


def mlp(inputs: int, hidden: int, outputs: int, *, gain: float = 1.0) -> OnRows:
    """Linear, ReLU, Linear; ``gain`` is the second layer's.

    The ReLU overwrites its input, which no gradient needs.
    """
    return OnRows(
        linear_before_relu(inputs, hidden),
        nn.ReLU(inplace=True),
        linear(hidden, outputs, gain=gain),
    )


def default_mlp(inputs: int, hidden: int, outputs: int) -> OnRows:
    """Linear, ReLU, Linear, with PyTorch's default initialisation; the ReLU works in place."""
    return OnRows(nn.Linear(inputs, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, outputs))


def precise(x: Tensor) -> Tensor:
    """The tensor in float32, or in float64 if it is already: never in half precision."""
    return x if x.dtype == torch.float64 else x.float()


def computing_dtype(x: Tensor) -> torch.dtype:
    """The dtype of matrix products with ``x``: autocast's, or else its own."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


class LayerNorm(nn.LayerNorm):
    """Layer normalisation in the precision of its weights, also under autocast."""

    def forward(self, input: Tensor) -> Tensor:
        """(…, D) → (…, D)."""
        return super().forward(input.to(self.weight.dtype))


class GRUCell(nn.Module):
    """A gated recurrent unit of plain operations; weights laid out like `torch.nn.GRUCell`.

    ``weight_ih`` (3D, D), ``weight_hh`` (3D, D) and both biases (3D,) stack the reset, the update
    and the new gate, in this order. Written out so that autocast and compilation apply.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight_ih = nn.Parameter(torch.empty(3 * size, size))
        self.weight_hh = nn.Parameter(torch.empty(3 * size, size))
        self.bias_ih = nn.Parameter(torch.zeros(3 * size))
        self.bias_hh = nn.Parameter(torch.zeros(3 * size))
        nn.init.xavier_uniform_(self.weight_ih)
        nn.init.orthogonal_(self.weight_hh)

    def forward(self, inputs: Tensor, state: Tensor) -> Tensor:
        """Inputs (…, D) and state (…, D) → the next state (…, D)."""
        reset_in, update_in, new_in = F.linear(inputs, self.weight_ih, self.bias_ih).chunk(3, -1)
        reset_at, update_at, new_at = F.linear(state, self.weight_hh, self.bias_hh).chunk(3, -1)
        reset = torch.sigmoid(reset_in + reset_at)
        update = torch.sigmoid(update_in + update_at)
        new = torch.tanh(new_in + reset * new_at)
        return new + update * (state - new)


def check_shape(name: str, tensor: Tensor, hint: str, **axes: int | None) -> None:
    """Check a tensor against named axes; None fits any length.

    Raises `NsiError` that names the tensor, the axes and the actual shape.
    """
    shape = tuple(tensor.shape)
    fits = len(shape) == len(axes) and all(
        want is None or have == want for have, want in zip(shape, axes.values(), strict=True)
    )
    if not fits:
        wanted = ", ".join(
            axis if want is None else f"{axis}={want}" for axis, want in axes.items()
        )
        raise NsiError(f"{name} must have the shape ({wanted}), not {shape}", hint)


class ProjectionHead(nn.Module):
    """p = Linear(x) to E dims; p + Dropout(MLP(LayerNorm(p))), the MLP E → 4E → E with a ReLU."""

    def __init__(self, inputs: int, config: ModelConfig) -> None:
        super().__init__()
        width = config.embed_dim
        self.project = nn.Linear(inputs, width)
        self.refine = nn.Sequential(
            LayerNorm(width), default_mlp(width, 4 * width, width), nn.Dropout(config.dropout)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(…, inputs) → embeddings (…, E)."""
        projected = self.project(x)
        embeddings: Tensor = projected + self.refine(projected)
        return embeddings
