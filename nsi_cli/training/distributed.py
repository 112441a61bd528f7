"""The processes of a training, as one of them sees them: its rank, its share, what all know."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, distributed
from torch.nn import functional as F

from nsi_cli.data.loading.loader import part_of
from nsi_cli.support.errors import ConfigError, NsiError


class _Gathered(torch.autograd.Function):
    """(n, …) of each of ``count`` processes → (count, n, …); the gradients back are summed."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, rank: int, count: int) -> Tensor:
        """Fetch everyone's tensor, all of one shape."""
        ctx.rank = rank
        parts = [torch.empty_like(own) for _ in range(count)]
        distributed.all_gather(parts, own.contiguous())
        return torch.stack(parts)

    @staticmethod
    def backward(ctx: Any, pull: Tensor) -> tuple[Tensor, None, None]:
        """What all processes want of this one's tensor."""
        pull = pull.contiguous()
        distributed.all_reduce(pull)
        return pull[ctx.rank], None, None


class ProcessGroup:
    """``count`` processes that train together, of which this one is number ``rank``.

    Every method but `share` must be called by all of them, in the same order. Alone, a process
    talks to nobody.
    """

    def __init__(self, fabric: Fabric) -> None:
        self._fabric = fabric
        self.rank, self.count = fabric.global_rank, fabric.world_size

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and tells of progress."""
        return self.rank == 0

    def share(self, size: int) -> range:
        """The places of a global batch of ``size`` scenes that this process holds."""
        return part_of(size, (self.rank, self.count))

    def gather(self, own: Tensor, size: int) -> Tensor:
        """The rows of all processes, in order: (n, …) of each → (size, …), differentiable.

        The gradient that reaches a row is the sum of what it gets in every process.
        """
        if self.count == 1:
            return own
        lengths = [len(part_of(size, (rank, self.count))) for rank in range(self.count)]
        padding = (0, 0) * (own.ndim - 1) + (0, max(lengths) - len(own))
        parts: Tensor = _Gathered.apply(F.pad(own, padding), self.rank, self.count)
        return torch.cat([part[:length] for part, length in zip(parts, lengths, strict=True)])

    def totals(self, values: Sequence[Tensor]) -> list[float]:
        """The sums over all processes of some numbers, as plain numbers."""
        told = torch.stack([value.detach().double() for value in values])
        if self.count > 1:
            distributed.all_reduce(told)
        return [float(number) for number in told.tolist()]

    def any(self, *said: bool) -> list[bool]:
        """For each question, whether any process says yes."""
        if self.count == 1:
            return list(said)
        told = torch.tensor(said, dtype=torch.float32, device=self._fabric.device)
        distributed.all_reduce(told)
        return [bool(number) for number in told.tolist()]

    def agreed(self, text: str) -> str:
        """The first process's text, in every process."""
        return text if self.count == 1 else str(self._fabric.broadcast(text))

    def by_first(self, action: Callable[[], object]) -> None:
        """Let the first process do something, and all wait; where it fails, it fails in all.

        Raises the `NsiError` of the first process; in the others a `ConfigError`, so that only
        one of them tells of it.
        """
        fault: NsiError | None = None
        if self.first:
            try:
                action()
            except NsiError as error:
                fault = error
        told = self.agreed(fault.message if fault else "")
        if fault:
            raise fault
        if told:
            raise ConfigError(told)
