"""The reconstruction error of the broadcast decoder and its gradients, in one pass over tokens.

The error is a sum over tokens, and the activations at a position affect only the error of that
token. So the backward pass of a chunk of tokens can follow its forward pass at once, and no
activation (B, N, K, hidden) outlives its chunk: a few megabytes that stay in the processor's cache,
where autograd would keep gigabytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nsi_cli.models.layers import precise

_CHUNK_BYTES = 6 * 2**20  # of one activation on a CPU; about five are held at once
_CHUNK_BYTES_ELSEWHERE = 2**29
_MOST_COMPILED_CHUNKS = 4  # the compiler unrolls the loop over them

_HAS_ONEDNN = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
_FUSES_BFLOAT16 = _HAS_ONEDNN and torch.ops.mkldnn._is_mkldnn_bf16_supported()

Tokens = slice | Tensor
"""The tokens of a chunk, n of each of b images, t = b·n: the same n for all images, or (b, n)."""


class Terms(NamedTuple):
    """The variables of the error; or its gradients, in the same shapes.

    The first layer is linear: ``at_slots`` and ``at_positions`` are its two parts.
    """

    at_slots: Tensor  # (B, K, hidden)
    at_positions: Tensor  # (N, hidden)
    weight_2: Tensor  # (hidden, hidden)
    bias_2: Tensor
    weight_3: Tensor  # (hidden, hidden)
    bias_3: Tensor
    weight_4: Tensor  # (1 + C, hidden), its first row for the logits of the slot masks
    bias_4: Tensor


def mean_error(
    terms: Terms, features: Tensor, dtype: torch.dtype, sample: Tensor | None = None
) -> Tensor:
    """Mean over images and tokens of Σ_c (reconstruction − features)², a scalar.

    Features are (B, N, C), or with a ``sample`` of tokens (B, n) those of the sample (B, n, C).
    Matrices are multiplied in ``dtype``; the softmax, the error and every sum over chunks have the
    precision of the terms. Gradients are computed in the forward pass if they are needed.
    """
    if torch.is_grad_enabled():
        error: Tensor = _OnePass.apply(features, dtype, sample, *terms)
        return error
    return _one_pass(terms, features, dtype, sample, None)


class _OnePass(torch.autograd.Function):
    """The mean error. ``forward`` also computes the gradients; ``backward`` scales them."""

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, dtype: torch.dtype, sample: Tensor | None, *given: Tensor
    ) -> Tensor:
        terms = Terms(*given)
        gradients = Terms(*map(torch.zeros_like, terms))
        error = _one_pass(terms, features, dtype, sample, gradients)
        ctx.save_for_backward(*gradients)
        return error

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, None, *(upstream * gradient for gradient in ctx.saved_tensors)


@dataclass(frozen=True)
class _Activations:
    """The activations of a chunk of t tokens that its gradients need."""

    first: Tensor  # (t·K, hidden), after the ReLU, as are the next two
    second: Tensor
    third: Tensor
    masks: Tensor  # (t, K), precise
    mixed: Tensor  # (t, hidden), the third mixed by the masks
    error: Tensor  # (t, C), reconstruction − features, precise


def _one_pass(
    terms: Terms,
    features: Tensor,
    dtype: torch.dtype,
    sample: Tensor | None,
    gradients: Terms | None,
) -> Tensor:
    """The mean error; its gradients are added to ``gradients``."""
    cast = Terms(*(term.to(dtype) for term in terms))
    count, tokens = features.shape[:2]
    images, positions = _chunk(terms, tokens, dtype)
    total = terms.at_slots.new_zeros(())
    with torch.autocast(features.device.type, enabled=False):
        for image in range(0, count, images):
            for position in range(0, tokens, positions):
                chunk = slice(image, image + images), slice(position, position + positions)
                tokens_of = chunk[1] if sample is None else sample[chunk]
                error = _chunk_error(cast, features[chunk], chunk[0], tokens_of, gradients)
                total = total + error
        if gradients is not None:
            for gradient in gradients:
                gradient.mul_(2 / (count * tokens))
    return total / (count * tokens)


def _chunk(terms: Terms, tokens: int, dtype: torch.dtype) -> tuple[int, int]:
    """The images and positions of a chunk: all ``tokens`` positions if they fit, else a part."""
    count, slots, hidden = terms.at_slots.shape
    image_bytes = tokens * slots * hidden * dtype.itemsize
    most = _CHUNK_BYTES if terms.at_slots.device.type == "cpu" else _CHUNK_BYTES_ELSEWHERE
    if torch.compiler.is_compiling():
        most = max(most, -(-count * image_bytes // _MOST_COMPILED_CHUNKS))
    parts = -(-image_bytes // most)
    return max(1, most // image_bytes), -(-tokens // parts)


def _chunk_error(
    terms: Terms, features: Tensor, images: slice, tokens: Tokens, gradients: Terms | None
) -> Tensor:
    """The summed error of a chunk; half its gradients are added to ``gradients``."""
    saved = _forward(terms, features, images, tokens)
    if gradients is not None:
        _backward(saved, terms, gradients, images, tokens)
    return saved.error.square().sum()


def _forward(terms: Terms, features: Tensor, images: slice, tokens: Tokens) -> _Activations:
    """The forward pass of a chunk; features (b, n, C)."""
    at_slots, at_positions, weight_2, bias_2, weight_3, bias_3, weight_4, bias_4 = terms
    slots, hidden = at_slots.shape[1:]
    first = (at_slots[images, None] + at_positions[tokens].unsqueeze(-2)).relu_().view(-1, hidden)
    second = _layer(first, weight_2, bias_2)
    third = _layer(second, weight_3, bias_3)
    masks = precise(torch.mv(third, weight_4[0]) + bias_4[0]).view(-1, slots).softmax(-1)
    mixed = _of_slots(third, slots).mT @ masks.to(third.dtype).unsqueeze(-1)
    mixed = mixed.squeeze(-1)  # (t, hidden)
    reconstruction = precise(torch.addmm(bias_4[1:], mixed, weight_4[1:].T))
    return _Activations(first, second, third, masks, mixed, reconstruction - features.flatten(0, 1))


def _backward(
    saved: _Activations, terms: Terms, gradients: Terms, images: slice, tokens: Tokens
) -> None:
    """The backward pass of a chunk: add the gradients of half its summed error.

    Each layer's gradient is computed as soon as its inputs exist, while they are in the cache.
    """
    dtype, (rows, hidden), slots = saved.third.dtype, saved.third.shape, saved.masks.shape[1]
    error = saved.error.to(dtype)
    gradients.weight_4[1:] += error.T @ saved.mixed
    gradients.bias_4[1:] += saved.error.sum(0)
    to_mixed = error @ terms.weight_4[1:]  # (t, hidden)
    to_masks = precise(_of_slots(saved.third, slots) @ to_mixed.unsqueeze(-1)).squeeze(-1)
    to_logits = saved.masks * (to_masks - (saved.masks * to_masks).sum(-1, keepdim=True))
    shares = to_logits.to(dtype).view(rows)
    gradients.weight_4[0] += shares @ saved.third
    gradients.bias_4[0] += to_logits.sum()

    # Each gradient replaces that of the layer above, whose memory is then free.
    at_layer = saved.masks.to(dtype).unsqueeze(-1) * to_mixed.unsqueeze(1)
    at_layer = at_layer.view(rows, hidden).addcmul_(shares.unsqueeze(1), terms.weight_4[:1])
    at_layer = _before_relu(at_layer, saved.third)
    gradients.weight_3.add_(at_layer.T @ saved.second)
    gradients.bias_3.add_(at_layer.sum(0))
    at_layer = _before_relu(at_layer @ terms.weight_3, saved.second)
    gradients.weight_2.add_(at_layer.T @ saved.first)
    gradients.bias_2.add_(at_layer.sum(0))
    at_layer = _before_relu(at_layer @ terms.weight_2, saved.first)
    at_slots = gradients.at_slots[images]
    spread = at_layer.view(len(at_slots), -1, slots, hidden)  # (b, n, K, hidden)
    at_slots += spread.sum(1)
    if isinstance(tokens, slice):
        gradients.at_positions[tokens] += spread.sum((0, 2))
    else:
        each = spread.sum(2).flatten(0, 1).to(gradients.at_positions.dtype)
        gradients.at_positions.index_add_(0, tokens.flatten(), each)


def _layer(rows: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """ReLU(rows · weightᵀ + bias)."""
    fusible = rows.dtype == torch.bfloat16 and rows.device.type == "cpu" and _FUSES_BFLOAT16
    if fusible and not torch.compiler.is_compiling():
        # The same result to the bit, without two more passes over the memory.
        fused: Tensor = torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "relu", [], "")
        return fused
    return torch.addmm(bias, rows, weight.T).relu_()


def _of_slots(rows: Tensor, slots: int) -> Tensor:
    """Rows (t·K, hidden) → (t, K, hidden)."""
    return rows.view(-1, slots, rows.shape[-1])


def _before_relu(gradient: Tensor, output: Tensor) -> Tensor:
    """The gradient of a ReLU's input, written over that of its output."""
    threshold = torch.ops.aten.threshold_backward.grad_input
    before: Tensor = threshold(gradient, output, 0, grad_input=gradient)
    return before
