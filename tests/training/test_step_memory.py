"""A step makes nothing large that it does not need: no pictures, no activation of all slots."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from nsi_cli.models import decoder_error
from nsi_cli.models.config import ModelConfig
from nsi_cli.models.nsi import build_nsi
from nsi_cli.models.schema_encoder import PropertySchemaEncoder
from nsi_cli.schema import Categorical, Schema
from nsi_cli.training.step import Encoders
from nsi_cli.training.trainer import Trainer


class Watched(TorchDispatchMode):
    """Remembers the shape of every tensor that is made while it is entered."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: set[tuple[int, ...]] = set()

    def __torch_dispatch__(
        self, function: Any, types: Any, arguments: Any = (), named: Any = None
    ) -> Any:
        made = function(*arguments, **(named or {}))
        self.shapes |= {tuple(leaf.shape) for leaf in tree_leaves(made) if isinstance(leaf, Tensor)}
        return made


@pytest.mark.slow
@pytest.mark.parametrize("every", [0, 1])
def test_what_slots_see_is_drawn_only_where_it_is_logged(
    every: int, trainer_of: Callable[..., Trainer], tmp_path: Path, tiny: dict[str, Any]
) -> None:
    slots, side = tiny["num_slots"], tiny["image_size"]
    with Watched() as watched:
        trainer_of(tmp_path / "run", epochs=1, pictures_every=every).fit()
    pictures = [s for s in watched.shapes if slots in s[:-2] and s[-2:] == (side, side)]
    assert bool(pictures) == bool(every)


def test_no_activation_of_all_tokens_and_slots_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    slots, tokens, hidden, images = 5, 40, 64, 12
    monkeypatch.setattr(decoder_error, "_CHUNK_BYTES", 4 * 8 * slots * hidden)  # of 8 tokens
    config = ModelConfig(num_slots=slots, slot_dim=16, decoder_hidden_size=hidden, d_model=16,
                         num_blocks=1, mlp_hidden_size=16, embed_dim=8)  # fmt: skip
    schema = Schema((Categorical("shape", ("cube", "cone")),), 2)
    model = build_nsi(config, schema, PropertySchemaEncoder, num_tokens=tokens, channels=12)
    encoders = Encoders(model)
    features, noise = torch.randn(images, tokens, 12), torch.randn(images, slots, 16)
    with Watched() as watched:
        result = encoders(
            features, torch.ones(images, 2, 1), torch.ones(images, 2).bool(), noise, None
        )
        (result.error + result.slots.sum() + result.primitives.sum()).backward()
    largest = max(torch.Size(shape).numel() for shape in watched.shapes)
    assert largest <= 5 * 8 * slots * hidden < images * tokens * slots * hidden
