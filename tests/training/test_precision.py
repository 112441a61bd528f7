"""Mixed precision rounds what is computed, not what is read."""

from __future__ import annotations

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from nsi_cli.training.precision import precision_plugin


class Seen(nn.Module):
    """Returns what came in, beside a product."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        self.product = self.layer(x).dtype
        return x, self.layer(x)


@pytest.mark.parametrize(
    ("precision", "computed"),
    [
        ("32", torch.float32),
        ("bf16-mixed", torch.bfloat16),
        ("16-mixed", torch.float16),
    ],
)
def test_ids_that_half_precision_has_no_number_for_arrive(
    precision: str, computed: torch.dtype
) -> None:
    fabric = Fabric(accelerator="cpu", devices=1, plugins=precision_plugin(precision, "cpu"))
    module = Seen()
    seen, _ = fabric.setup(module)(torch.tensor([[2049.0]]))
    assert seen.item() == 2049
    assert module.product == computed
