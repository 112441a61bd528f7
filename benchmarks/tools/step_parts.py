"""The parts of a training step: the operations of each part, and the time that each takes alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from tools.measured import seconds_of
from tools.our_step import OurStep
from torch import Tensor, nn

from nsi_cli.data.loading.batch import Batch
from nsi_cli.models.alignment import contrastive_loss, score_matrix
from nsi_cli.models.token_sample import token_sample
from nsi_cli.training.config import TrainConfig


@dataclass(frozen=True)
class Part:
    """A part of the step: its floating-point operations, and a function that runs it."""

    name: str
    operations: float
    run: Callable[[], object]


def operations(config: TrainConfig, batch: int, tokens: int, channels: int) -> dict[str, float]:
    """Return the operations of one step's matrix products, two for each multiply-add.

    The decoder is counted in its factored form, which needs the fewest operations. In the
    backward pass, a product costs the same again for each operand that needs a gradient; the
    features need none.
    """
    c, d, k, hidden = channels, config.slot_dim, config.num_slots, config.decoder_hidden_size
    n, t, e, m = tokens, config.max_program_len, config.embed_dim, config.d_model
    adapter = n * c * c * (2 + 3)  # in the first layer, only the weights need a gradient
    project = 3 * n * c * 2 * d
    a_round = k * d * (d + 2 * n + 6 * d + 2 * config.mlp_hidden_size)
    attention = project + 3 * config.num_iterations * a_round
    decoded = config.decode_tokens or n
    decoder = 3 * (
        k * d * hidden + n * d * hidden / batch  # slots, and positions once for all images
        + 2 * decoded * k * hidden * hidden + 2 * decoded * k * hidden + decoded * hidden * c
    )  # fmt: skip
    head = 3 * e * (8 * e + d)
    block = t * m * (4 * m + 8 * m + 2 * t)
    schema = 3 * (t * m * (5 * m) + config.num_blocks * block) + t * head
    score = 3 * batch * k * t * e
    parts = {
        "adapter": adapter,
        "slot attention": attention + k * head,
        "decoder": decoder,
        "schema encoder": schema,
        "score and loss": score,
    }
    return {name: 2.0 * batch * count for name, count in parts.items()}


def backbone_operations(model: nn.Module, batch: int, tokens: int) -> float:
    """Return the operations of a vision transformer's forward pass on a batch of images."""
    linear = sum(
        layer.weight.numel()
        for layer in model.modules()
        if isinstance(layer, nn.Linear | nn.Conv2d)
    )
    blocks = len(model.blocks)
    width = model.num_features
    return 2.0 * batch * tokens * (linear + blocks * 2 * tokens * width)


def parts_of(ours: OurStep, config: TrainConfig, batch: Batch, *, compiled: bool) -> list[Part]:
    """Return the parts of our step on a batch; each runs forward and backward on its own inputs."""
    encoder, model, device = ours.model.image_encoder, ours.model, ours.device
    n, c = encoder.num_tokens, encoder.channels
    size = len(batch)
    counts = operations(config, size, n, c)
    features = torch.randn(size, n, c, device=device)
    tokens = torch.randn(size, n, c, device=device, dtype=ours.dtype, requires_grad=True)
    slots = torch.randn(size, config.num_slots, config.slot_dim, device=device, requires_grad=True)
    rows, present = batch.primitives.to(device), batch.present.to(device)
    shapes = (config.num_slots, config.embed_dim), (rows.shape[1], config.embed_dim)
    embedded = [torch.randn(size, *shape, device=device, requires_grad=True) for shape in shapes]

    def attend() -> Sequence[Tensor]:
        found, _ = encoder.slot_attention(tokens, encoder.slot_init(tokens, None))
        return [encoder.head(found)]

    sample = None
    if config.decode_tokens:
        drawn = token_sample(n, config.decode_tokens, seed=0, step=0, positions=range(size))
        sample = drawn.to(device)

    def decode() -> Sequence[Tensor]:
        return [encoder.decoder.error(slots, features, sample)]

    def lose() -> Sequence[Tensor]:
        return [contrastive_loss(score_matrix(embedded[0], embedded[1], present), config.tau)]

    forwards: dict[str, Callable[[], Sequence[Tensor]]] = {
        "adapter": lambda: [encoder.adapter(features)],
        "slot attention": attend,
        "decoder": decode,
        "schema encoder": lambda: [model.schema_encoder(rows, present)],
        "score and loss": lose,
    }
    wholes = [*model.parameters(), tokens, slots, *embedded]
    parts = [
        Part(name, counts[name], _there_and_back(torch.compile(forward) if compiled else forward,
                                                 ours, wholes))
        for name, forward in forwards.items()
    ]  # fmt: skip
    if batch.features is None:
        images = batch.images.to(device)
        timm_model = ours.backbone.model
        look = backbone_operations(timm_model, size, n + timm_model.num_prefix_tokens)
        parts.insert(0, Part("backbone", look, lambda: ours.backbone(images)))
    return [*parts, Part("clip and Adam", 0.0, _optimise(ours))]


def _there_and_back(
    forward: Callable[[], Sequence[Tensor]], ours: OurStep, wholes: list[Tensor]
) -> Callable[[], object]:
    def run() -> object:
        with ours.autocast():
            outputs = forward()
        return torch.autograd.grad(
            outputs, wholes, [torch.ones_like(output) for output in outputs], allow_unused=True
        )

    return run


def _optimise(ours: OurStep) -> Callable[[], object]:
    def run() -> object:
        for parameter in ours.model.parameters():
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        return ours.update()

    return run


def time_parts(parts: list[Part], device: str, repeats: int) -> dict[str, float]:
    """Return the median seconds of each part."""
    times = {}
    for part in parts:
        part.run()
        told = sorted(seconds_of(part.run, device) for _ in range(repeats))
        times[part.name] = told[len(told) // 2]
    return times
