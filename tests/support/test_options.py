"""Options are declared once, on a dataclass, and a check reports all faults together."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import pytest
import yaml
from annotated_types import Ge, Gt, Interval

from nsi_cli.support.errors import ConfigError
from nsi_cli.support.options import check_options, declared_options, did_you_mean, option, plain


@dataclasses.dataclass(frozen=True)
class Settings:
    raw: Path = Path("raw")
    lr: Annotated[float, Gt(0)] = option(4e-4, help="Learning rate.")
    dropout: Annotated[float, Interval(ge=0, lt=1)] = option(0.1, help="Dropout.")
    num_slots: Annotated[int, Interval(ge=1, le=64)] = option(15, help="Slots.", group="Model")
    limit: Annotated[int, Ge(1)] | None = option(
        None, help="Scenes that are read; all if left out."
    )
    protocol: Literal["nsi", "off"] = option("nsi", help="Protocol.")
    cache: str = option("auto", help="Where features are kept.")
    shuffle: bool = option(True, help="Shuffle.")
    sizes: tuple[int, ...] = option((1, 2), help="Sizes.")
    folder: Path | None = option(None, help="A folder.")  # noqa: RUF009

    def faults(self) -> list[str]:
        odd = self.num_slots == 13
        return ["num_slots: thirteen is not allowed"] if odd else []


def _checked(**values: object) -> Settings:
    return check_options(Settings, values, where="test")


def _faults(**values: object) -> str:
    with pytest.raises(ConfigError) as caught:
        _checked(**values)
    assert caught.value.exit_code == 2
    assert caught.value.hint
    assert "\n" not in caught.value.message
    return caught.value.message


def test_only_fields_declared_as_options_are_options() -> None:
    declared = {item.name: item for item in declared_options(Settings)}
    assert "raw" not in declared
    slots = declared["num_slots"]
    assert (slots.flag, slots.type, slots.default) == ("--num-slots", int, 15)
    assert (slots.option.help, slots.option.group) == ("Slots.", "Model")


def test_omitted_options_have_their_defaults() -> None:
    assert _checked() == Settings()
    assert check_options(Settings, {}, where="test", raw=Path("other")).raw == Path("other")


def test_text_such_as_1e_3_is_a_number_if_one_is_declared() -> None:
    values = yaml.safe_load("{lr: 1e-3, num-slots: 7, sizes: [3, 4], folder: a/b}")
    assert values["lr"] == "1e-3"  # YAML 1.1 reads it as text
    settings = _checked(**values)
    assert (settings.lr, settings.num_slots) == (0.001, 7)
    assert (settings.sizes, settings.folder) == ((3, 4), Path("a/b"))


@pytest.mark.parametrize("word", ["no", "off", "yes", "true"])
@pytest.mark.parametrize("key", ["lr", "num_slots", "limit", "protocol", "cache"])
def test_a_truth_value_is_no_number_and_no_word(key: str, word: str) -> None:
    (value,) = yaml.safe_load(f"[{word}]")
    assert f"{key}: a number or word is needed" in _faults(**{key: value})


def test_truth_values_and_quoted_words_are_accepted_where_declared() -> None:
    settings = _checked(**yaml.safe_load("{shuffle: no, protocol: 'off', limit: null}"))
    assert (settings.shuffle, settings.protocol, settings.limit) == (False, "off", None)


def test_an_unknown_key_is_reported_with_the_nearest_known_one() -> None:
    assert "unknown key 'num_slot' (did you mean 'num_slots'?)" in _faults(num_slot=3)
    assert "unknown key 'zzz'" in _faults(zzz=3)
    assert "unknown key 'raw'" in _faults(raw="elsewhere")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("lr", 0),
        ("lr", "fast"),
        ("lr", "nan"),
        ("lr", float("inf")),
        ("dropout", -0.1),
        ("dropout", 1),
        ("num_slots", 0),
        ("num_slots", 65),
        ("num_slots", 1.5),
        ("num_slots", None),
        ("limit", 0),
        ("protocol", "benchmark"),
        ("cache", 3),
        ("sizes", ["a"]),
    ],
)
def test_an_invalid_value_is_reported_with_its_key(key: str, value: object) -> None:
    result = _faults(**{key: value})
    assert result.startswith(f"test: {key}: ")
    assert f"not {value if key != 'sizes' else 'a'!r}" in result


def test_the_choices_are_listed_for_any_other_word() -> None:
    assert "'nsi' or 'off'" in _faults(protocol="benchmark")


def test_all_faults_are_reported_together() -> None:
    result = _faults(num_slot=3, lr=-1, dropout="much", protocol="x")
    for name in ("num_slot", "lr", "dropout", "protocol"):
        assert name in result


def test_the_class_reports_faults_of_combinations() -> None:
    assert "thirteen is not allowed" in _faults(num_slots=13)


def test_faults_spell_flags_as_on_the_command_line() -> None:
    for values, expected in (
        ({"num_slots": 13}, "--num-slots: thirteen"),
        ({"num_slots": 0}, "--num-slots: input should be"),
    ):
        with pytest.raises(ConfigError, match=expected):
            check_options(Settings, values, where="test", flags=values)


def test_plain_values_go_through_yaml_and_back() -> None:
    settings = _checked(lr=1e-5, folder="a/b", protocol="off")
    assert check_options(Settings, yaml.safe_load(yaml.safe_dump(plain(settings))), where="") == (
        settings
    )


def test_the_nearest_name_is_suggested_if_one_is_near() -> None:
    assert did_you_mean("matirial", ["shape", "material"]) == "did you mean 'material'?"
    assert did_you_mean("xyz", ["shape", "material"]) == ""


def test_an_empty_key_is_unknown_like_any_other() -> None:
    assert "unknown key ''" in _faults(**{"": 3})


@dataclasses.dataclass(frozen=True)
class WithMethod:
    schema_: Path | None = option(None, help="A schema file.")  # noqa: RUF009

    def schema(self) -> str:
        return "a method"


def test_a_field_may_end_with_an_underscore_that_its_option_lacks() -> None:
    (declared,) = declared_options(WithMethod)
    assert (declared.name, declared.flag) == ("schema", "--schema")
    instance = check_options(WithMethod, {"schema": "file.yaml"}, where="test")
    assert (instance.schema_, instance.schema()) == (Path("file.yaml"), "a method")
    assert plain(instance) == {"schema": "file.yaml"}
