"""Any vision transformer of timm as a frozen backbone. Importing timm takes seconds, so it is
imported only if it is needed."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from nsi_cli.models.backbones.base import TEXTURE, Backbone
from nsi_cli.support.errors import NsiError
from nsi_cli.support.options import did_you_mean
from nsi_cli.support.reading import CHECKPOINT_LIMIT, UnsuitableFileError, open_regular

_SECONDS_TO_ANSWER = 10
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # possible names of the weights on the hub


class TimmBackbone(Backbone):
    """Patch tokens of a timm vision transformer, after its last norm, without prefix tokens.

    Images are normalised with the mean and standard deviation that the model was trained with;
    without ``normalize`` they are only divided by 255, as the published release does. Position
    embeddings are resampled if ``image_size`` differs from the model's own. Matrices are stored and
    multiplied in ``dtype``; normalisations and the residual stream stay in float32.
    Raises `NsiError` for an unknown name, a size that is no multiple of the patch size, or weights
    that cannot be loaded.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        name: str,
        weights: str,
        image_size: int,
        dtype: torch.dtype = torch.float32,
        *,
        normalize: bool = True,
    ) -> None:
        _check_name(name)
        model: Any = _load(name, weights, image_size)
        patch = model.patch_embed.patch_size
        if image_size % patch[0] or image_size % patch[1]:
            near = max(1, round(image_size / patch[0])) * patch[0]
            raise NsiError(
                f"--image-size {image_size} is not a multiple of the patch size "
                f"{patch[0]} of {name}",
                f"use for example --image-size {near}",
            )
        super().__init__(
            grid=(image_size // patch[0], image_size // patch[1]),
            channels=int(model.num_features),
            appearance=slice(0, int(model.num_features)),
            image_size=image_size,
        )
        self.name = name
        self.dtype = dtype
        self.normalize = normalize
        self.model = model
        for layer in model.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d):
                layer.to(dtype)
        for moment in ("mean", "std"):
            values = torch.tensor(model.pretrained_cfg[moment]).view(3, 1, 1)
            self.register_buffer(moment, values, persistent=False)
        self.requires_grad_(False).eval()

    def identity(self) -> bytes:
        """Name, size and a digest of all weights; their dtype unless it is float32, and whether
        images are not normalised."""
        settings = f"timm {self.name} {self.image_size}"
        if self.dtype != torch.float32:
            settings += f" {self.dtype}"
        if not self.normalize:
            settings += " images in [0, 1]"
        digest = hashlib.sha256(settings.encode())
        for key, value in self.model.state_dict().items():
            digest.update(key.encode())
            digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
        return digest.digest()

    def extract(self, images: Tensor) -> Tensor:
        """Images (B, 3, S, S) uint8 → features (B, N, C)."""
        pixels = images / 255
        if self.normalize:
            pixels = (pixels - self.mean) / self.std
        lower = self.dtype != torch.float32
        with torch.autocast(images.device.type, self.dtype if lower else None, enabled=lower):
            tokens: Tensor = self.model.forward_features(pixels)
        return tokens[:, self.model.num_prefix_tokens :]


def _check_name(name: str) -> None:
    """Raise `NsiError` if timm has no such model, naming the nearest one."""
    import timm

    names = timm.list_models()
    if name in names or name in timm.list_pretrained():
        return
    near = did_you_mean(name, [TEXTURE, *names, *timm.list_pretrained()])
    raise NsiError(
        f"no backbone is called '{name}'",
        near or f"name a timm vision transformer, for example vit_small_patch16_224, or {TEXTURE}",
    )


def _load(name: str, weights: str, image_size: int) -> nn.Module:
    """The model with its weights: from the file ``weights``, else from the hub or its cache."""
    import timm

    source = _from_file(name, weights) if weights else _from_hub(name)
    try:
        with _quiet("timm", "huggingface_hub"):
            model: Any = timm.create_model(
                name,
                pretrained=True,
                pretrained_cfg_overlay=source,
                num_classes=0,
                img_size=image_size,
            )
    except TypeError as error:
        raise _not_a_transformer(name) from error
    except Exception as error:
        raise NsiError(
            f"the weights of {name} cannot be loaded{f' from {weights}' if weights else ''}: "
            f"{_first_line(error)}",
            "pass a weights file of this model with --backbone-weights FILE",
        ) from error
    if not hasattr(model, "num_prefix_tokens") or not hasattr(model.patch_embed, "patch_size"):
        raise _not_a_transformer(name)
    model.pretrained_cfg.pop("state_dict", None)  # a second copy of all weights
    return model  # type: ignore[no-any-return]


def _from_file(name: str, weights: str) -> dict[str, Any]:
    """The arguments with which timm loads a local file strictly, except for the classifier."""
    import timm
    from timm.models import load_state_dict

    hint = "--backbone-weights takes a safetensors or PyTorch weights file"
    try:
        with open_regular(weights, CHECKPOINT_LIMIT):  # timm opens it again by its path
            state = dict(load_state_dict(weights))
    except FileNotFoundError:
        raise NsiError(f"no weights file {weights}", hint) from None
    except UnsuitableFileError as error:
        raise NsiError(f"{weights} is not a weights file: {error}", hint) from None
    except Exception as error:
        raise NsiError(f"{weights} is not a weights file: {_first_line(error)}", hint) from error
    settings = timm.get_pretrained_cfg(name)
    heads = settings.classifier if settings is not None else None
    for head in (heads,) if isinstance(heads, str) else heads or ():
        for key in (f"{head}.weight", f"{head}.bias"):
            state.pop(key, None)
    if not state:  # timm would use the hub
        raise NsiError(f"{weights} holds no weights of a backbone", hint)
    return {"state_dict": state, "num_classes": 0, "label_offset": 0}


def _from_hub(name: str) -> dict[str, Any] | None:
    """The arguments with which timm loads from the hub's local cache; None to use the hub.

    Raises within seconds if the hub does not answer; its client would retry many times with a
    message each.
    """
    import timm
    from huggingface_hub import get_session, hf_hub_url, try_to_load_from_cache

    settings: Any = timm.get_pretrained_cfg(name)
    if settings is None or not settings.hf_hub_id:
        return None
    where, _, revision = settings.hf_hub_id.partition("@")
    names = (settings.hf_hub_filename,) if settings.hf_hub_filename else _WEIGHTS
    for file in names if settings.custom_load != "hf" else ():
        cached = try_to_load_from_cache(where, file, revision=revision or None)
        if isinstance(cached, str):
            return {"file": cached, "custom_load": False}
    try:
        get_session().head(hf_hub_url(where, names[0]), timeout=_SECONDS_TO_ANSWER)
    except Exception as error:
        raise NsiError(
            f"the weights of {name} are not on this machine, and the model hub does not answer "
            f"({_first_line(error)})",
            f"fetch {names[0]} of '{where}' where there is a network and pass it with "
            f"--backbone-weights FILE, or take --backbone {TEXTURE}, which needs none",
        ) from error
    return None


def _not_a_transformer(name: str) -> NsiError:
    return NsiError(
        f"{name} is not a vision transformer with patch tokens",
        "take one of timm's vit_…, deit…, or eva… models",
    )


def _first_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:120]}{'…' * (len(text) > 120)}".removesuffix(": ")


@contextmanager
def _quiet(*names: str) -> Iterator[None]:
    """Limit these loggers to errors while the body runs."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
