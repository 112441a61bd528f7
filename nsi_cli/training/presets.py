"""Presets: named YAML files of options, and how they are laid under a user's own."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from nsi_cli.support.errors import ConfigError, one_line
from nsi_cli.support.options import check_options, did_you_mean
from nsi_cli.support.reading import CONFIG_LIMIT, read_regular, reason_of
from nsi_cli.training.config import TrainConfig

MOST_ALIASES = 10
DEEPEST = 10
"""What a file of options may hold; see `_refuse_bombs`."""

_FOLDER = files("nsi_cli.training") / "presets"


def preset_names() -> list[str]:
    """The names of the presets, sorted."""
    return sorted(
        item.name.removesuffix(".yaml") for item in _FOLDER.iterdir() if item.name.endswith(".yaml")
    )


def read_preset(name: str) -> dict[str, Any]:
    """The options of a preset. Raises `ConfigError` if there is none of that name."""
    names = preset_names()
    if name not in names:
        raise ConfigError(
            f"no preset '{name}'", did_you_mean(name, names) or f"there are: {', '.join(names)}"
        )
    return _mapping((_FOLDER / f"{name}.yaml").read_text(encoding="utf-8"), f"preset {name}")


def read_config_file(path: Path) -> dict[str, Any]:
    """The options of a YAML file. Raises `ConfigError`."""
    try:
        text = read_regular(path, CONFIG_LIMIT).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"config file {path} cannot be read: {reason_of(error)}",
            "check the path after --config",
        ) from None
    return _mapping(text, str(path))


def _mapping(text: str, where: str) -> dict[str, Any]:
    import yaml

    hint = "one 'key: value' a line"
    try:
        _refuse_bombs(text, where, hint)
        data = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:  # the latter for a date such as 2001-99-99
        raise ConfigError(f"{where}: not YAML: {one_line(str(error))}", hint) from None
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigError(f"{where}: not options with their values", hint)
    return {str(key).replace("-", "_"): value for key, value in data.items()}


def _refuse_bombs(text: str, where: str, hint: str) -> None:
    """Raise `ConfigError` for YAML that is nested too deeply, or grows when aliases are replaced.

    Options are plain values, which need neither.
    """
    import yaml

    aliases = depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):  # which neither nests nor replaces anything
        aliases += isinstance(event, yaml.AliasEvent)
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if aliases > MOST_ALIASES:
            raise ConfigError(f"{where}: more than {MOST_ALIASES} YAML aliases (*name)", hint)
        if depth > DEEPEST:
            raise ConfigError(f"{where}: lists or mappings nested deeper than {DEEPEST}", hint)


def resolve(preset: str | None, config_file: Path | None, flags: Mapping[str, Any]) -> TrainConfig:
    """The options of a run: defaults < preset < config file < flags.

    Raises `ConfigError` that lists every fault at once.
    """
    layers: dict[str, Mapping[str, Any]] = {}
    if preset:
        layers[f"preset {preset}"] = read_preset(preset)
    if config_file:
        layers[str(config_file)] = read_config_file(config_file)
    where = " + ".join([*layers, *(["flags"] if layers and flags else [])])
    layers["flags"] = flags
    merged = {key: value for layer in layers.values() for key, value in layer.items()}
    return check_options(TrainConfig, merged, where=where, flags=flags)
