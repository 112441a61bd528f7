"""Masks in the run-length encoding of COCO, as CLEVR-Hans has them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

_OFFSET, _BITS, _MORE, _SIGN = 48, 5, 0x20, 0x10
_LONGEST = 12  # characters of a number


def decode_mask(data: Any, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Return a mask (height, width) of ``size`` from ``{"size": …, "counts": "…"}``.

    Counts are the lengths of runs of zeros and ones in turn, column by column. Each is written in
    groups of 5 bits, the lowest first, one character for each; from the fourth on, as the
    difference from the count before the previous one. Raises `ValueError`.
    """
    if not isinstance(data, dict) or not isinstance(data.get("counts"), str):
        raise ValueError("a mask has no string 'counts'")
    if data.get("size") != list(size):
        raise ValueError(f"a mask has size {data.get('size')!r:.40}, not {list(size)}")
    counts: list[int] = []
    for number in _numbers(data["counts"]):
        counts.append(number + counts[-2] if len(counts) > 2 else number)
        if counts[-1] < 0:
            raise ValueError("a mask has a run of negative length")
    height, width = size
    if sum(counts) != height * width:
        raise ValueError(f"a mask has {sum(counts)} pixels, not {height * width}")
    values = np.arange(len(counts)) % 2 == 1
    return np.repeat(values, counts).reshape(width, height).T


def _numbers(text: str) -> Iterator[int]:
    number = shift = 0
    for character in text:
        code = ord(character) - _OFFSET
        if not 0 <= code < 2 * _MORE or shift >= _LONGEST * _BITS:
            raise ValueError("a mask's 'counts' are damaged")
        number |= (code & (_MORE - 1)) << shift
        shift += _BITS
        if code & _MORE:
            continue
        yield number - (1 << shift) if code & _SIGN else number
        number = shift = 0
    if shift:
        raise ValueError("a mask's 'counts' are truncated")
