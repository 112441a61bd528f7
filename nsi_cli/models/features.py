"""The features of a store's images: from the cache if there is one, else from the backbone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nsi_cli.data.features.cache import FeatureCache, cache_for, check_cache_space
from nsi_cli.data.features.fill import Encode, Features, fill
from nsi_cli.data.loading.batch import Batch
from nsi_cli.data.store.reader import Store
from nsi_cli.models.backbones.base import Backbone
from nsi_cli.support.errors import DataError
from nsi_cli.support.progress import SILENT, Progress

_AT_ONCE = {"cpu": 16}
_AT_ONCE_ELSEWHERE = 128
"""Images that go through the backbone together while a cache is filled."""

_NUMPY: dict[torch.dtype, np.dtype[Any]] = {
    torch.float16: np.dtype(np.float16),
    torch.float32: np.dtype(np.float32),
}


def prepare_cache(
    backbone: Backbone,
    store: Store,
    splits: list[str],
    where: str,
    progress: Progress = SILENT,
    *,
    fill_missing: bool = True,
) -> FeatureCache | None:
    """The cache of the backbone's features of these splits, filled; None if it is off.

    Without ``fill_missing`` it is None unless it is already filled. ``where`` is auto (in the
    store; none, with a note, if the disk lacks room), off, or a folder. Raises `DataError` if a
    named folder has no room, or a cache is damaged.
    """
    if where == "off":
        return None
    root = None if where == "auto" else Path(where)
    cache = cache_for(
        store, backbone.fingerprint(), backbone.num_tokens, backbone.channels, root,
        dtype=_NUMPY[backbone.feature_dtype],
    )  # fmt: skip
    if not fill_missing:
        filled = all(cache.has(split, store.count(split)) for split in splits)
        return cache if filled else None
    try:
        check_cache_space(cache, store, splits)
    except DataError as error:
        if where != "auto":
            raise
        progress.note(f"{error.message}; the backbone runs at every step instead")
        return None
    fill(
        cache, store, splits, _encoder(backbone),
        at_once=_AT_ONCE.get(_device(backbone).type, _AT_ONCE_ELSEWHERE), progress=progress,
    )  # fmt: skip
    return cache


def _device(backbone: Backbone) -> torch.device:
    return next((buffer.device for buffer in backbone.buffers()), torch.device("cpu"))


def _encoder(backbone: Backbone) -> Encode:
    """The backbone as a function from arrays to features in its ``feature_dtype``."""
    device, dtype = _device(backbone), backbone.feature_dtype

    def encode(images: npt.NDArray[np.uint8]) -> Features:
        features = backbone(torch.from_numpy(images).permute(0, 3, 1, 2).to(device)).to(dtype)
        if device.type != "cuda":
            return features.cpu().numpy()  # type: ignore[no-any-return]
        pinned = torch.empty(features.shape, dtype=dtype, pin_memory=True)
        return pinned.copy_(features).numpy()

    return encode


def features_of(batch: Batch, backbone: Backbone | None) -> Tensor:
    """The features (B, N, C) float32 of a batch: its own, else `Backbone.features`."""
    if batch.features is not None:
        return batch.features.float()
    if backbone is None or batch.images is None:
        raise DataError("a batch has neither features nor images", "give the loader one of them")
    return backbone.features(batch.images)
