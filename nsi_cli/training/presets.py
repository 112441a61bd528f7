"""Presets: named YAML files of options, and how they are laid under a user's own."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from nsi_cli.errors import ConfigError
from nsi_cli.options import check_options, did_you_mean
from nsi_cli.training.config import TrainConfig

_FOLDER = files("nsi_cli.training") / "presets"


def preset_names() -> list[str]:
    """The presets there are, sorted."""
    return sorted(
        item.name.removesuffix(".yaml") for item in _FOLDER.iterdir() if item.name.endswith(".yaml")
    )


def read_preset(name: str) -> dict[str, Any]:
    """The options of a preset. Raises `ConfigError` where there is none of that name."""
    names = preset_names()
    if name not in names:
        raise ConfigError(
            f"no preset '{name}'", did_you_mean(name, names) or f"there are: {', '.join(names)}"
        )
    return _mapping((_FOLDER / f"{name}.yaml").read_text(encoding="utf-8"), f"preset {name}")


def read_config_file(path: Path) -> dict[str, Any]:
    """The options of a YAML file. Raises `ConfigError`."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"config file {path} cannot be read: {error}", "check the path after --config"
        ) from None
    return _mapping(text, str(path))


def _mapping(text: str, where: str) -> dict[str, Any]:
    import yaml

    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        line = str(error).replace("\n", " ")
        raise ConfigError(f"{where}: not YAML: {line}", "one 'key: value' a line") from None
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigError(f"{where}: not a list of options", "one 'key: value' a line")
    return {str(key).replace("-", "_"): value for key, value in data.items()}


def resolve(preset: str | None, config_file: Path | None, flags: Mapping[str, Any]) -> TrainConfig:
    """The options of a run: defaults < preset < config file < flags.

    Raises `ConfigError` that lists every fault at once.
    """
    layers: dict[str, Mapping[str, Any]] = {}
    if preset:
        layers[f"preset {preset}"] = read_preset(preset)
    if config_file:
        layers[str(config_file)] = read_config_file(config_file)
    if flags or not layers:
        layers["flags"] = flags
    merged = {key: value for layer in layers.values() for key, value in layer.items()}
    return check_options(TrainConfig, merged, where=" + ".join(layers))
