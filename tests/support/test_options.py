"""Options: declared once on a dataclass, checked with every fault told at once."""

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
    place: Path | None = option(None, help="A folder.")  # noqa: RUF009

    def faults(self) -> list[str]:
        odd = self.num_slots == 13
        return ["num_slots: thirteen brings no luck"] if odd else []


def _checked(**values: object) -> Settings:
    return check_options(Settings, values, where="test")


def _faults(**values: object) -> str:
    with pytest.raises(ConfigError) as caught:
        _checked(**values)
    assert caught.value.exit_code == 2
    assert caught.value.hint
    assert "\n" not in caught.value.message
    return caught.value.message


def test_options_are_declared_on_fields_and_other_fields_are_left_out() -> None:
    declared = {item.name: item for item in declared_options(Settings)}
    assert "raw" not in declared
    slots = declared["num_slots"]
    assert (slots.flag, slots.type, slots.default) == ("--num-slots", int, 15)
    assert (slots.option.help, slots.option.group) == ("Slots.", "Model")


def test_what_is_left_out_keeps_its_default() -> None:
    assert _checked() == Settings()
    assert check_options(Settings, {}, where="test", raw=Path("other")).raw == Path("other")


def test_yaml_text_such_as_1e_3_is_a_number_where_one_is_declared() -> None:
    values = yaml.safe_load("{lr: 1e-3, num-slots: 7, sizes: [3, 4], place: a/b}")
    assert values["lr"] == "1e-3"  # as YAML 1.1 has it
    settings = _checked(**values)
    assert (settings.lr, settings.num_slots) == (0.001, 7)
    assert (settings.sizes, settings.place) == ((3, 4), Path("a/b"))


@pytest.mark.parametrize("word", ["no", "off", "yes", "true"])
@pytest.mark.parametrize("key", ["lr", "num_slots", "limit", "protocol", "cache"])
def test_a_truth_value_is_no_number_and_no_word(key: str, word: str) -> None:
    (value,) = yaml.safe_load(f"[{word}]")
    assert f"{key}: a number or word is needed" in _faults(**{key: value})


def test_truth_values_are_taken_where_declared_and_words_in_quotes() -> None:
    settings = _checked(**yaml.safe_load("{shuffle: no, protocol: 'off', limit: null}"))
    assert (settings.shuffle, settings.protocol, settings.limit) == (False, "off", None)


def test_an_unknown_key_is_told_with_the_nearest_known_one() -> None:
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
def test_a_value_of_another_type_or_out_of_bounds_is_told_by_name(key: str, value: object) -> None:
    result = _faults(**{key: value})
    assert result.startswith(f"test: {key}: ")
    assert f"not {value if key != 'sizes' else 'a'!r}" in result


def test_choices_are_listed_when_another_word_is_given() -> None:
    assert "'nsi' or 'off'" in _faults(protocol="benchmark")


def test_all_faults_are_told_at_once() -> None:
    result = _faults(num_slot=3, lr=-1, dropout="much", protocol="x")
    for name in ("num_slot", "lr", "dropout", "protocol"):
        assert name in result


def test_what_does_not_fit_together_is_told_by_the_class() -> None:
    assert "thirteen brings no luck" in _faults(num_slots=13)


def test_plain_values_go_through_yaml_and_back() -> None:
    settings = _checked(lr=1e-5, place="a/b", protocol="off")
    assert check_options(Settings, yaml.safe_load(yaml.safe_dump(plain(settings))), where="") == (
        settings
    )


def test_nothing_is_meant_by_what_is_like_nothing() -> None:
    assert did_you_mean("matirial", ["shape", "material"]) == "did you mean 'material'?"
    assert did_you_mean("xyz", ["shape", "material"]) == ""
