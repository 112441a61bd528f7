"""The features of a store's images: from the cache if there is one, else from the backbone."""

from __future__ import annotations

from pathlib import Path
from threading import Semaphore
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
    part: tuple[int, int] = (0, 1),
    fill_missing: bool = True,
) -> FeatureCache | None:
    """The cache of the backbone's features of these splits, filled; None if it is off.

    If several processes fill it together, ``part`` is this one's rank and their number. Without
    ``fill_missing`` it is None unless it is already filled. ``where`` is auto (in the store; none,
    with a note, if the disk lacks room), off, or a folder. Raises `DataError` if a named folder has
    no room, or a cache is damaged.
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
    _fill(cache, store, splits, backbone, part, progress)
    return cache


def _fill(
    cache: FeatureCache, store: Store, splits: list[str], backbone: Backbone,
    part: tuple[int, int], progress: Progress,
) -> None:  # fmt: skip
    """Fill the cache on the backbone's device.

    On a CPU, each core encodes its own images with one thread: threads that share the small
    operations of a backbone would mostly wait. Two more workers read and write meanwhile.
    """
    kind, threads = _device(backbone).type, torch.get_num_threads()
    encoders = threads if kind == "cpu" else 1
    try:
        fill(
            cache, store, splits, _encoder(backbone, encoders),
            at_once=_AT_ONCE.get(kind, _AT_ONCE_ELSEWHERE), workers=encoders + 2, part=part,
            progress=progress,
        )  # fmt: skip
    finally:
        torch.set_num_threads(threads)


def _device(backbone: Backbone) -> torch.device:
    return next((buffer.device for buffer in backbone.buffers()), torch.device("cpu"))


def _encoder(backbone: Backbone, encoders: int) -> Encode:
    """The backbone as a function from arrays to features in its ``feature_dtype``.

    At most ``encoders`` threads are in it at a time. On a CPU, they share the images that are
    encoded at once, to bound the memory.
    """
    device, dtype = _device(backbone), backbone.feature_dtype
    free = Semaphore(encoders)

    def encode(images: npt.NDArray[np.uint8]) -> Features:
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2)
        with free:
            if device.type == "cpu":
                torch.set_num_threads(1)  # of this thread
                few = torch.split(pixels, max(1, _AT_ONCE["cpu"] // encoders))
                return _array(torch.cat([backbone(part).to(dtype) for part in few]))
            features = backbone(pixels.to(device)).to(dtype)
            if device.type != "cuda":
                return _array(features.cpu())
            pinned = torch.empty(features.shape, dtype=dtype, pin_memory=True)
            return _array(pinned.copy_(features))

    return encode


def _array(features: Tensor) -> Features:
    array: Features = features.numpy()
    return array


def features_of(batch: Batch, backbone: Backbone | None) -> Tensor:
    """The features (B, N, C) float32 of a batch: its own, else `Backbone.features`."""
    if batch.features is not None:
        return batch.features.float()
    if backbone is None or batch.images is None:
        raise DataError("a batch has neither features nor images", "give the loader one of them")
    return backbone.features(batch.images)
