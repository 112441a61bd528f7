"""Memory that a loader's worker lends to its parent, and uses anew once the parent lets go of it.

Torch shares each batch through fresh memory, and to get that from the system takes several times
as long as to read the batch. So a worker keeps what it shared: the first byte says whether the
parent still holds it.
"""

from __future__ import annotations

import math
import os
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Bytes = npt.NDArray[np.uint8]

HEAD = 64
"""Bytes before the images, of which the first says whether they are lent."""


class Lender:
    """The memory of one worker. It grows only while the parent holds on to all that it got."""

    def __init__(self) -> None:
        self._memory: list[Tensor] = []

    def lend(self, shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[Bytes, Tensor]:
        """An array of ``shape`` to be filled, and the same as a tensor with its axes in order.

        The tensor arrives in the parent without a copy where `to_send` is what is sent of it.
        """
        size = HEAD + math.prod(shape)
        for memory in self._memory:
            if not memory[0] and len(memory) >= size:
                break
        else:
            memory = _shared(size)
            self._memory.append(memory)
        memory[0] = 1
        loan = _Loan(memory, shape, axes)
        array, tensor = loan.take(loan.return_unsent)
        tensor.loan = loan  # type: ignore[attr-defined]
        return array, tensor


def to_send(tensor: Tensor) -> Any:
    """What is to be pickled in place of a tensor that was lent; any other as it is."""
    return getattr(tensor, "loan", tensor)


@dataclass
class _Loan:
    """Memory on its way to the parent, as an array of ``shape`` with its axes in another order."""

    memory: Tensor
    shape: tuple[int, ...]
    axes: tuple[int, ...]
    sent: bool = False

    def take(self, at_end: Callable[[], None]) -> tuple[Bytes, Tensor]:
        """The memory as an array and a tensor; ``at_end`` is called when nobody views it more."""
        array = self.memory.numpy()[HEAD : HEAD + math.prod(self.shape)].reshape(self.shape)
        weakref.finalize(array, at_end).atexit = False
        # The tensor's storage, which its views share, holds the array.
        return array, torch.from_numpy(array).permute(self.axes)

    def give_back(self) -> None:
        """Tell the lender that the memory is free."""
        self.memory[0] = 0

    def return_unsent(self) -> None:
        """The same, unless the parent has it or will have it."""
        if not self.sent:
            self.give_back()

    def __reduce__(self) -> tuple[Callable[..., Tensor], tuple[Any, ...]]:
        self.sent = True
        return _borrowed, (self.memory, self.shape, self.axes)


def _borrowed(memory: Tensor, shape: tuple[int, ...], axes: tuple[int, ...]) -> Tensor:
    loan = _Loan(memory, shape, axes)
    return loan.take(loan.give_back)[1]


def _shared(size: int) -> Tensor:
    """``size`` bytes of memory that another process can open."""
    if not hasattr(os, "memfd_create"):  # Linux alone has files without a name
        fresh: Any = torch.zeros(size, dtype=torch.uint8)
        fresh.share_memory_()
        return fresh  # type: ignore[no-any-return]
    file = os.memfd_create("nsi-batch")
    try:
        os.ftruncate(file, size)
        make: Any = torch.UntypedStorage
        storage = make._new_shared_fd_cpu(file, size)  # as torch opens what it is sent itself
    finally:
        os.close(file)
    return torch.empty(0, dtype=torch.uint8).set_(storage)
