"""The mathematics of both encoders, restated in plain float64 NumPy, one scene at a time.

Written from the description of the model alone: no broadcasting tricks, no shared code with the
toolkit. ``weights`` maps the names of a model's parameters to arrays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Weights = dict[str, Array]


@dataclass(frozen=True)
class Image:
    slots: Array
    attention_masks: Array
    slot_masks: Array | None
    reconstruction: Array
    embeddings: Array


def under(weights: Weights, prefix: str) -> Weights:
    start = prefix + "."
    return {key[len(start) :]: value for key, value in weights.items() if key.startswith(start)}


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def softmax(x: Array, axis: int) -> Array:
    powers = np.exp(x - x.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)


def layer_norm(x: Array, w: Weights) -> Array:
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-5) * w["weight"] + w["bias"]


def linear(x: Array, w: Weights) -> Array:
    return x @ w["weight"].T + w.get("bias", 0.0)


def mlp(x: Array, w: Weights, places: tuple[int, ...] = (0, 2)) -> Array:
    """Linear layers at these places of a sequence, a ReLU between each two."""
    for place in places[:-1]:
        x = np.maximum(linear(x, under(w, str(place))), 0)
    return linear(x, under(w, str(places[-1])))


def gru(x: Array, state: Array, w: Weights) -> Array:
    gates_in = np.split(x @ w["weight_ih"].T + w["bias_ih"], 3, -1)
    gates_at = np.split(state @ w["weight_hh"].T + w["bias_hh"], 3, -1)
    reset = sigmoid(gates_in[0] + gates_at[0])
    update = sigmoid(gates_in[1] + gates_at[1])
    candidate = np.tanh(gates_in[2] + reset * gates_at[2])
    return (1 - update) * candidate + update * state


def project(x: Array, w: Weights) -> Array:
    p = linear(x, under(w, "project"))
    return p + mlp(layer_norm(p, under(w, "refine.0")), under(w, "refine.1"))


def farthest(points: Array, count: int) -> list[int]:
    centre = points.mean(0)
    chosen = [int(((points - centre) ** 2).sum(1).argmax())]
    while len(chosen) < count:
        distances = [((points - points[place]) ** 2).sum(1) for place in chosen]
        chosen.append(int(np.min(distances, axis=0).argmax()))
    return chosen


def start(tokens: Array, noise: Array, kind: str, w: Weights) -> Array:
    if kind == "learned":
        return w["slots"][0]
    if kind == "gaussian":
        return w["mean"][0] + np.exp(w["log_scale"][0]) * noise
    variance = tokens.var(1, keepdims=True)
    normalised = (tokens - tokens.mean(1, keepdims=True)) / np.sqrt(variance + 1e-5)
    picked = normalised[farthest(normalised, len(noise))]
    return linear(picked, under(w, "project")) + np.exp(w["log_scale"][0]) * noise


def attend(tokens: Array, slots: Array, rounds: int, heads: int, w: Weights) -> tuple[Array, Array]:
    tokens = layer_norm(tokens, under(w, "norm_tokens"))
    width = slots.shape[1] // heads
    keys = linear(tokens, under(w, "key")) * width**-0.5
    values = linear(tokens, under(w, "value"))
    for _ in range(rounds):
        queries = linear(layer_norm(slots, under(w, "norm_slots")), under(w, "query"))
        parts = [slice(head * width, (head + 1) * width) for head in range(heads)]
        logits = np.concatenate([queries[:, part] @ keys[:, part].T for part in parts])
        shares = softmax(logits, 0).reshape(heads, len(slots), len(tokens))
        weights = shares + 1e-8
        weights = weights / weights.sum(2, keepdims=True)
        means = [weights[head] @ values[:, part] for head, part in enumerate(parts)]
        slots = gru(np.concatenate(means, 1), slots, under(w, "gru"))
        slots = slots + mlp(layer_norm(slots, under(w, "norm_mlp")), under(w, "mlp"))
    return slots, shares.sum(0)


def broadcast_decode(slots: Array, w: Weights) -> tuple[Array, Array]:
    outputs = [mlp(slot + w["position"], under(w, "mlp"), (0, 2, 4, 6)) for slot in slots]
    masks = softmax(np.stack([output[:, 0] for output in outputs]), 0)  # (K, N)
    painted = sum(mask[:, None] * out[:, 1:] for mask, out in zip(masks, outputs, strict=True))
    return np.asarray(painted), masks


def image_encoder(
    features: Array, noise: Array, *, rounds: int, heads: int, init: str, redraw: str, w: Weights
) -> Image:
    """One image: features (N, C) and noise (K, D)."""
    tokens = mlp(layer_norm(features, under(w, "adapter.0")), under(w, "adapter"), (1, 3))
    slots = start(tokens, noise, init, under(w, "slot_init"))
    slots, attention = attend(tokens, slots, rounds, heads, under(w, "slot_attention"))
    masks = None
    if redraw == "decoder":
        reconstruction, masks = broadcast_decode(slots, under(w, "decoder"))
    else:
        reconstruction = attention.T @ mlp(slots, under(w, "decoder.mlp"))
    return Image(slots, attention, masks, reconstruction, project(slots, under(w, "head")))


def self_attention(x: Array, present: npt.NDArray[np.bool_], heads: int, w: Weights) -> Array:
    query, key, value = (linear(x, under(w, name)) for name in ("query", "key", "value"))
    width = x.shape[1] // heads
    out = np.zeros_like(x)
    for part in (slice(head * width, (head + 1) * width) for head in range(heads)):
        logits = query[:, part] @ key[present, part].T * width**-0.5
        out[:, part] = softmax(logits, 1) @ value[present, part]
    return linear(out, under(w, "out"))


def schema_encoder(
    rows: Array,
    present: npt.NDArray[np.bool_],
    *,
    categories: int,
    ranges: list[tuple[Array, Array]],
    blocks: int,
    heads: int,
    w: Weights,
) -> Array:
    """One scene: primitives (T, W), at least one present. ``ranges`` are the lower and upper
    bounds of each continuous property."""
    vectors = []
    for place in range(categories):
        table = w[f"properties.{place}.table.weight"]
        vectors.append(
            np.stack([table[int(i)] if i >= 0 else 0 * table[0] for i in rows[:, place]])
        )
    column = categories
    for place, (low, high) in enumerate(ranges, start=categories):
        values = rows[:, column : column + len(low)]
        scaled = np.nan_to_num((values - low) / (high - low), nan=0.0)
        vectors.append(np.maximum(linear(scaled, under(w, f"properties.{place}.project")), 0))
        column += len(low)
    x = mlp(np.concatenate(vectors, 1), under(w, "mix"))
    for place in range(blocks):
        b = under(w, f"blocks.{place}")
        normed = layer_norm(x, under(b, "norm_attention"))
        x = normed if place == 0 else x
        x = x + self_attention(normed, present, heads, under(b, "attention"))
        x = x + mlp(layer_norm(x, under(b, "norm_mlp")), under(b, "mlp"))
    return project(layer_norm(x, under(w, "norm")), under(w, "head"))


def scores(slots: Array, primitives: Array, present: npt.NDArray[np.bool_]) -> Array:
    """Slots (Bi, K, E), primitives (Bj, T, E), present (Bj, T) → (Bi, Bj)."""
    out = np.zeros((len(slots), len(primitives)))
    for i, image in enumerate(slots):
        for j, scene in enumerate(primitives):
            out[i, j] = sum((image @ row).max() for row in scene[present[j]])
    return out


def contrastive_loss(score: Array, tau: float) -> float:
    logits = score / tau
    losses = []
    for lines in (logits, logits.T):
        for place, line in enumerate(lines):
            losses.append(line.max() + np.log(np.exp(line - line.max()).sum()) - line[place])
    return float(np.mean(losses))


def reconstruction_loss(reconstruction: Array, features: Array) -> float:
    return float(np.mean(((reconstruction - features) ** 2).sum(-1)))
