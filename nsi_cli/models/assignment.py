"""Set matching: a different slot for each primitive, with the largest sum of scores.

The paper's comparison (`--alignment hungarian`): Kuhn 1955, with SciPy's solver (Crouse 2016). The
choice of the slot has no gradient; its score has.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

NO_SLOT = -1


@torch.no_grad()
def assign(products: Tensor, present: Tensor) -> Tensor:
    """The slot (…, T) int64 of each primitive, given products (…, K, T) and present (…, T), which
    may lack leading axes.

    No slot is chosen twice. Absent primitives have `NO_SLOT`, as do the remaining ones if there
    are more primitives than slots. If the best slots already differ, nothing is solved.
    """
    shape = products.shape[:-2]
    products, present = products.flatten(0, -3), present.expand(*shape, -1).flatten(0, -2)
    slots = products.argmax(1).masked_fill(~present, NO_SLOT)  # (P, T)
    wanted = torch.zeros(len(slots), products.shape[1], device=slots.device)
    wanted.scatter_add_(1, slots.clamp(min=0), present.to(wanted))
    hard = (wanted > 1).any(1)
    if hard.any():
        solved = _solved(products[hard], present[hard])
        slots[hard] = torch.from_numpy(solved).to(slots.device)
    return slots.view(*shape, slots.shape[1])


def _solved(products: Tensor, present: Tensor) -> npt.NDArray[np.int64]:
    """The same for pairs (P, K, T) and (P, T), each solved separately on the CPU."""
    # Like max, choose a NaN product, so that the score shows it.
    costs = -products.double().nan_to_num(nan=1e300, posinf=1e300, neginf=-1e300).cpu().numpy()
    mask = present.cpu().numpy()
    slots = np.full(mask.shape, NO_SLOT)
    for cost, columns, chosen in zip(costs, mask, slots, strict=True):
        assigned, primitives = linear_sum_assignment(cost[:, columns])
        chosen[np.flatnonzero(columns)[primitives]] = assigned
    return slots
