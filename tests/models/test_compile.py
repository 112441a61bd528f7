"""The model compiles as one graph, and learns the same compiled."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch
from torch import Tensor, nn

from nsi_cli.models.config import ModelConfig
from nsi_cli.models.nsi import NSI, build_nsi
from nsi_cli.models.schema_encoder import PropertySchemaEncoder
from nsi_cli.models.token_sample import token_sample
from nsi_cli.schema import Schema


class Learn(nn.Module):
    """One scalar of all that a training step asks of a model."""

    def __init__(self, model: NSI) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        features: Tensor,
        primitives: Tensor,
        present: Tensor,
        noise: Tensor,
        sample: Tensor | None,
    ) -> Tensor:
        learned = self.model.learn(features, primitives, present, noise, sample)
        scores = torch.einsum("ike,jte->ijkt", learned.slots.float(), learned.primitives.float())
        return learned.error + scores.amax(2).mean()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "slot_init", "half", "decoded"),
    [
        *itertools.product(["aot_eager"], ["gaussian", "tokens"], [False, True], [16]),
        # Where the graph breaks does not depend on the compiler behind it.
        ("inductor", "tokens", True, 5),
    ],
)
@pytest.mark.timeout(900)
def test_it_compiles_without_a_graph_break(
    backend: str,
    slot_init: str,
    half: bool,
    decoded: int,
    small: ModelConfig,
    schema: Schema,
    primitives: tuple[Tensor, Tensor],
) -> None:
    torch._dynamo.reset()
    config = dataclasses.replace(
        small, slot_init=slot_init, num_iterations=1, num_blocks=1, dropout=0.0
    )
    model = build_nsi(config, schema, PropertySchemaEncoder, num_tokens=16, channels=12)
    sample = token_sample(16, decoded, seed=0, step=0, positions=range(3)) if decoded < 16 else None
    given = torch.randn(3, 16, 12), *primitives, torch.randn(3, 4, 16), sample
    plain, found = Learn(model), []
    for step in (plain, torch.compile(plain, fullgraph=True, backend=backend)):
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = step(*given)
        loss.backward()
        gradients = [parameter.grad.flatten() for parameter in model.parameters()]
        found.append((loss.detach(), torch.cat(gradients)))
    tolerance = 0.02 if half else 1e-5
    for have, want in zip(*found, strict=True):
        assert (have - want).norm() <= tolerance * want.norm()
