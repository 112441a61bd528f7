"""Masks are decoded as pycocotools decodes them, and damaged ones are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from nsi_clevr.run_length import decode_mask


def test_masks_that_pycocotools_encoded() -> None:
    def decoded(counts: str, *size: int) -> list[list[int]]:
        result: list[list[int]] = decode_mask({"size": list(size), "counts": counts}, size).tolist()
        return result

    assert decoded("<", 3, 4) == [[0] * 4] * 3
    assert decoded("0<", 3, 4) == [[1] * 4] * 3
    assert decoded("11110O30", 3, 4) == [[0, 1, 1, 0], [1, 1, 0, 0], [0, 0, 0, 1]]


def test_a_mask_of_the_size_of_an_image() -> None:
    """The string is of pycocotools."""
    counts = "Tcn1X1h8" + "0" * 58 + "l1TN00000000TNl1" + "0" * 47 + "ldT2"
    mask = decode_mask({"size": [320, 480], "counts": counts}, (320, 480))
    expected = np.zeros((320, 480), bool)
    expected[100:140, 200:260] = expected[110:200, 230:235] = True
    np.testing.assert_array_equal(mask, expected)


def test_random_masks(run_lengths: Callable[[np.ndarray], dict[str, Any]]) -> None:
    generator = np.random.default_rng(0)
    for share in (0.0, 0.02, 0.5, 0.98, 1.0):
        mask = generator.random((31, 47)) < share
        np.testing.assert_array_equal(decode_mask(run_lengths(mask), (31, 47)), mask)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": [480, 320]}, "size"),
        ({"size": "all"}, "size"),
        ({"counts": [3, 4]}, "no string 'counts'"),
        ({"counts": "="}, "13 pixels, not 12"),
        ({"counts": ""}, "0 pixels"),
        ({"counts": "\x00"}, "damaged"),
        ({"counts": "é"}, "damaged"),
        ({"counts": "P" * 40}, "damaged"),
        ({"counts": "1P"}, "truncated"),
        ({"counts": "O"}, "negative"),
    ],
)
def test_a_damaged_mask_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode_mask({"size": [3, 4], "counts": "<", **changes}, (3, 4))


def test_no_mask_is_refused() -> None:
    with pytest.raises(ValueError, match="no string 'counts'"):
        decode_mask("<", (3, 4))
