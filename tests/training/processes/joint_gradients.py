"""Run by each of several processes: the gradients of a few joint batches, written by the first.

python joint_gradients.py OUT, alone or under torchrun.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from nsi_cli.data.loading.batch import Batch
from nsi_cli.models.build import build_backbone
from nsi_cli.models.nsi import build_nsi
from nsi_cli.models.schema_encoder import PropertySchemaEncoder
from nsi_cli.schema import Categorical, Continuous, Schema
from nsi_cli.training.config import TrainConfig
from nsi_cli.training.distributed import launch
from nsi_cli.training.step import Step

SIZE, TOKENS, CHANNELS, OBJECTS = 7, 16, 12, 3

CONFIG = TrainConfig(
    task="test", backbone="texture", image_size=48, texture_grid=4, num_slots=5, slot_dim=16,
    num_iterations=2, mlp_hidden_size=16, decoder_hidden_size=24, d_model=16, num_blocks=2,
    num_heads=2, embed_dim=8, dropout=0.0, tau=2.0, batch_size=SIZE, precision="64",
    accelerator="cpu",
)  # fmt: skip

CASES = {
    "plain": {},
    "accumulated": {"micro_batch_size": 2},
    "one by one": {"micro_batch_size": 1},
    "by threes": {"micro_batch_size": 3},  # of two processes, one has two and the other has one
    "absent attended": {"mask_absent": False, "max_program_len": 5},
    "absent attended, accumulated": {
        "mask_absent": False,
        "max_program_len": 5,
        "micro_batch_size": 2,
    },
    "hungarian": {"alignment": "hungarian"},
    "half annotated": {"micro_batch_size": 2},
    "half annotated, hungarian": {"alignment": "hungarian"},
    "none annotated": {},
    "ungrounded": {"contrastive_weight": 0.0},
    "sampled": {"decode_tokens": 5},
    "sampled, accumulated": {"decode_tokens": 5, "micro_batch_size": 2},
    "sampled, attention": {"decode_tokens": 5, "reconstruct": "attention"},
    "all sampled": {"decode_tokens": TOKENS},
}


def annotated(name: str) -> Tensor:
    """Which scenes of the joint batch are annotated in a case."""
    if "annotated" not in name:
        return torch.ones(SIZE, dtype=torch.bool)
    kept = [] if name.startswith("none") else [1, 4, 5]
    return torch.tensor([place in kept for place in range(SIZE)])


def joint_batch() -> Batch:
    """A batch of more scenes than any number of processes divides."""
    chance = torch.Generator().manual_seed(1)
    shape = torch.randint(0, 2, (SIZE, OBJECTS, 1), generator=chance).float()
    primitives = torch.cat([shape, torch.rand(SIZE, OBJECTS, 2, generator=chance)], -1)
    lengths = torch.tensor([3, 1, 2, 3, 2, 1, 3])
    return Batch(
        index=torch.arange(SIZE),
        primitives=primitives,
        present=torch.arange(OBJECTS) < lengths[:, None],
        features=torch.randn(SIZE, TOKENS, CHANNELS, generator=chance).half(),
    )


def main(out: Path) -> None:
    """Write the gradients and the loss of every case."""
    fabric = launch(CONFIG)
    schema = Schema((Categorical("shape", ("cube", "cone")), Continuous("at", 2, 0.0, 1.0)), 3)
    result: dict[str, Tensor] = {}
    for name, options in CASES.items():
        config = replace(CONFIG, **options)
        torch.manual_seed(0)
        model = build_nsi(
            config, schema, PropertySchemaEncoder, num_tokens=TOKENS, channels=CHANNELS
        ).double()
        step = Step(config, model, build_backbone(config), fabric)
        own = step.group.share(SIZE)
        cut = slice(own.start, own.stop)
        # Twice, with a rate of 0: PyTorch arranges the communication anew after the first step.
        step.update(step.train(joint_batch().rows(cut), annotated(name)[cut], 3, SIZE), 0.0)
        losses = step.train(joint_batch().rows(cut), annotated(name)[cut], 3, SIZE)
        result |= {f"{name}/{key}": torch.tensor(value) for key, value in losses.items()}
        for key, parameter in model.named_parameters():
            assert parameter.grad is not None, f"{name}: {key} has no gradient"
            result[f"{name}/{key}"] = parameter.grad.clone()
    if fabric.global_rank == 0:
        save_file(result, out)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
