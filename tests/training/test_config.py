"""Options: published defaults, presets beneath a file beneath flags, and faults told at once."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from nsi_cli.support.errors import ConfigError
from nsi_cli.support.options import Declared, declared_options, plain
from nsi_cli.training.config import TrainConfig
from nsi_cli.training.presets import preset_names, read_preset, resolve

PUBLISHED = {
    "batch_size": 128,
    "epochs": 300,
    "num_slots": 15,
    "slot_dim": 192,
    "num_iterations": 5,
    "num_blocks": 8,
    "d_model": 192,
    "num_heads": 8,
    "embed_dim": 64,
    "mlp_hidden_size": 192,
    "dropout": 0.1,
    "tau": 0.1,
    "beta": 1.0,
    "image_size": 224,
    "max_program_len": 10,
    "lr": 4e-4,
    "lr_warmup_steps": 10_000,
    "grad_clip": 1.0,
    "num_slot_heads": 1,
    "num_workers": 1,
    "seed": 0,
    "patience": 4,
    "lr_factor": 0.5,
    "backbone": "vit_base_patch8_224.dino",
    "slot_init": "gaussian",
    "reconstruct": "decoder",
    "decoder_hidden_size": 1024,
}


def test_the_defaults_are_the_published_ones() -> None:
    defaults = plain(TrainConfig(task="any"))
    assert {name: defaults[name] for name in PUBLISHED} == PUBLISHED


def test_every_option_says_what_it_is() -> None:
    for item in declared_options(TrainConfig):
        assert item.option.help.endswith("."), item.name
        assert item.option.group != "Options", item.name


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_a_whole_configuration(name: str) -> None:
    config = resolve(name, None, {"task": "clevrtex"})
    assert read_preset(name).items() <= plain(config).items()


def test_the_readme_preset_trains_longer_with_fewer_rounds() -> None:
    config = resolve("readme", None, {"task": "clevrtex"})
    assert (config.epochs, config.num_iterations) == (900, 3)
    assert config.batch_size == PUBLISHED["batch_size"]


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_flags_overrule_the_file_that_overrules_the_preset(tmp_path: Path) -> None:
    file = write(tmp_path / "c.yaml", "task: clevrtex\nepochs: 7\nnum-slots: 9\n")
    config = resolve("readme", file, {"num_slots": 11})
    assert (config.num_iterations, config.epochs, config.num_slots) == (3, 7, 11)
    assert config.batch_size == PUBLISHED["batch_size"]


def test_all_faults_are_told_at_once_with_the_nearest_key(tmp_path: Path) -> None:
    file = write(
        tmp_path / "c.yaml",
        "task: clevrtex\nepoch: 7\nlr: fast\nbatch_size: 0\ntau: .nan\nbeta: yes\n",
    )
    with pytest.raises(ConfigError) as result:
        resolve(None, file, {"dropout": 1.5})
    message = result.value.message
    assert "unknown key 'epoch' (did you mean 'epochs'?)" in message
    for name in ("lr", "batch_size", "tau", "beta", "--dropout"):
        assert f"{name}: " in message
    assert str(file) in message
    assert "\n" not in message
    assert "6 faults" in result.value.hint
    assert result.value.exit_code == 2


def test_sizes_that_do_not_fit_together_are_faults() -> None:
    with pytest.raises(ConfigError, match=r"--d-model 30 is not a multiple.*no task is named"):
        resolve(None, None, {"d_model": 30})


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [1\n", "just words\n"])
def test_a_file_that_is_no_mapping_is_told_in_one_line(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as result:
        resolve(None, write(tmp_path / "c.yaml", text), {"task": "x"})
    assert "c.yaml" in result.value.message
    assert "\n" not in result.value.message
    assert result.value.hint


LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{name}: &{name} [*{last}, *{last}]\n" for last, name in pairwise("abcdefghijklmnop")
)
"""Two words, doubled fifteen times."""


@pytest.mark.slow
@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("text", "result"),
    [
        (LAUGHS, r"more than 10 YAML aliases"),
        ("lr: &a [*a]\n" + "- *a\n" * 20, "not YAML"),
        ("[" * 30_000, "nested deeper than 10"),
        ("a: " + "{a: " * 10_000, "nested deeper than 10"),
        ("\n".join("  " * depth + "a:" for depth in range(200)), "nested deeper than 10"),
        ("a: " + "x" * 70_000, "more than 64,000 bytes"),
        ("lr: " + "1" * 5000, "not YAML: Exceeds the limit"),
        ("seed: 2001-99-99", "not YAML: month must be in"),
        ("seed: &a [*a]", r"seed: .* not \[+\.\.\.\]+"),
        ("num_slots: " + "9" * 4000, "num_slots: "),
        ("lr: " + "x" * 60_000, "lr: input should be a valid number"),
        ("".join(f"key{n}: 1\n" for n in range(5000)), "'key19'; 4,980 more unknown keys"),
    ],
)
def test_a_file_made_to_fill_memory_or_time_is_one_short_line(
    text: str, result: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=result) as caught:
        resolve(None, write(tmp_path / "c.yaml", text), {"task": "x"})
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 1200
    assert caught.value.hint


def test_a_few_aliases_are_what_they_stand_for(tmp_path: Path) -> None:
    file = write(tmp_path / "c.yaml", "task: x\nslot_dim: &width 48\nd_model: *width\n")
    assert resolve(None, file, {}).d_model == 48


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("make", "result"),
    [
        (Path.mkdir, "a folder"),
        (os.mkfifo, "a named pipe"),
        (lambda path: path.symlink_to("/dev/zero"), "a device"),
    ],
)
def test_a_config_that_is_no_file_is_told(
    make: Callable[[Path], object], result: str, tmp_path: Path
) -> None:
    make(tmp_path / "c.yaml")
    with pytest.raises(ConfigError, match=rf"c\.yaml cannot be read: .*{result}"):
        resolve(None, tmp_path / "c.yaml", {})


def test_every_number_has_both_bounds() -> None:
    for item in declared_options(TrainConfig):
        if item.type in (int, float):
            assert item.bounds.keys() & {"ge", "gt"}, item.name
            assert item.bounds.keys() & {"le", "lt"}, item.name


NUMBERS = [item for item in declared_options(TrainConfig) if item.type in (int, float)]


@pytest.mark.parametrize("value", [2**32, 2**63, 2**64, 10**400, 1e300])
@pytest.mark.parametrize("item", NUMBERS, ids=[item.name for item in NUMBERS])
def test_a_number_that_no_machine_serves_is_refused(item: Declared, value: float) -> None:
    if item.type is float:
        value = max(value, 1e31)  # which float32 can still hold
    with pytest.raises(ConfigError, match=f"{item.flag}: "):
        resolve(None, None, {"task": "x", item.name: value})


@pytest.mark.parametrize("value", ["100", str(2**63), "1" * 5000])
def test_no_machine_has_so_many_devices(value: str) -> None:
    with pytest.raises(ConfigError, match="devices: must be auto or a number from 1 to 99"):
        resolve(None, None, {"task": "x", "devices": value})


def test_a_missing_file_and_an_unknown_preset_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"away\.yaml cannot be read"):
        resolve(None, tmp_path / "away.yaml", {})
    with pytest.raises(ConfigError, match="no preset 'redme'") as result:
        resolve("redme", None, {})
    assert "readme" in result.value.hint


@pytest.mark.parametrize("value", [-1, 2**32])
def test_a_seed_that_no_generator_takes_is_refused(value: int) -> None:
    with pytest.raises(ConfigError, match="seed"):
        resolve(None, None, {"task": "x", "seed": value})


def test_numbers_may_be_written_as_scientists_write_them(tmp_path: Path) -> None:
    file = write(tmp_path / "c.yaml", "task: x\nlr: 4e-4\n")  # a text, for YAML 1.1
    assert resolve(None, file, {}).lr == 4e-4


@pytest.mark.parametrize(("key", "value"), [("precision", "32"), ("devices", "2")])
def test_a_word_that_yaml_reads_as_a_number_is_taken(key: str, value: str, tmp_path: Path) -> None:
    file = write(tmp_path / "c.yaml", f"task: x\n{key}: {value}\n")
    config = resolve(None, file, {})
    assert getattr(config, key) == value
    again = write(tmp_path / "again.yaml", yaml.safe_dump(plain(config)))
    assert resolve(None, again, {}) == config


@pytest.mark.parametrize("value", ["precision: 33", "precision: yes", "devices: 0", "devices: two"])
def test_a_number_that_is_no_such_word_is_refused(value: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=value.partition(":")[0]):
        resolve(None, write(tmp_path / "c.yaml", f"task: x\n{value}\n"), {})


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    flags: dict[str, Any] = {"task": "x"}
    file = write(tmp_path / "c.yaml", "# nothing yet\n")
    assert resolve(None, file, flags) == resolve(None, None, flags)


def test_a_configuration_survives_its_own_yaml(tmp_path: Path) -> None:
    config = resolve("readme", None, {"task": "x", "lr": 1e-05, "data": "a: b #c"})
    file = write(tmp_path / "c.yaml", yaml.safe_dump(plain(config)))
    assert resolve(None, file, {}) == config


def test_a_file_may_use_a_former_name(tmp_path: Path) -> None:
    file = write(tmp_path / "c.yaml", "task: x\nwithout: size\nannotated: 0.5\n")
    config = resolve(None, file, {})
    assert (config.exclude_properties, config.label_fraction) == ("size", 0.5)
