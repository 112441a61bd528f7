"""The objective: the two encoders on a batch, the score, and the loss of the paper."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nsi_cli.models.alignment import contrastive_loss, reconstruction_loss, score_matrix
from nsi_cli.models.nsi import NSI

LOSS, RECALL = "loss", "R@1"


class Objective(nn.Module):
    """A model together with its loss, as one module: what an optimiser step runs.

    It returns a plain dictionary, since Fabric walks through what a module returns and cannot
    walk through frozen records.
    """

    def __init__(self, model: NSI, *, tau: float, beta: float) -> None:
        super().__init__()
        self.model, self.tau, self.beta = model, tau, beta

    def forward(
        self, features: Tensor, primitives: Tensor, present: Tensor, noise: Tensor
    ) -> dict[str, Tensor]:
        """Features (B, N, C), primitives (B, T, W), present (B, T), noise (B, K, D) → scalars.

        ``loss`` is L = L_con + β·L_rec and carries the gradient; ``contrastive`` and
        ``reconstruction`` are its parts, ``R@1`` the share of images that score their own scene
        highest within the batch.
        """
        output = self.model(features, primitives, present, noise)
        scores = score_matrix(output.image.embeddings, output.primitives, present)
        contrastive = contrastive_loss(scores, self.tau)
        reconstruction = reconstruction_loss(output.image.reconstruction, features)
        target = torch.arange(len(scores), device=scores.device)
        return {
            LOSS: contrastive + self.beta * reconstruction,
            "contrastive": contrastive.detach(),
            "reconstruction": reconstruction.detach(),
            RECALL: (scores.detach().argmax(1) == target).float().mean(),
        }


def measures(losses: dict[str, Tensor]) -> dict[str, float]:
    """The scalars as plain numbers, under the names they are logged by."""
    return {name: value.item() for name, value in losses.items()}
