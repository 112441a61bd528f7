from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

import nsi_cli
from nsi_cli import api
from nsi_cli.support.errors import ConfigError, DataError, NsiError


@pytest.fixture(scope="module")
def exported(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return api.export(trained, tmp_path_factory.mktemp("hub") / "model")


def test_an_export_opens_without_the_store_and_describes_alike(
    exported: Path, trained: Path, tmp_path: Path
) -> None:
    moved = shutil.copytree(exported, tmp_path / "moved")
    own, other = nsi_cli.load_run(trained), nsi_cli.load_run(moved)
    image = own.store.images("test", [0])[0]
    assert other.describe([image]).to_dict() == own.describe([image]).to_dict()
    assert other.ground([image], ["small"]).to_dict() == own.ground([image], ["small"]).to_dict()
    np.testing.assert_array_equal(own.embed([image]), other.embed([image]))
    for question in (
        lambda: other.retrieve("small"),
        lambda: other.scenes("test"),
        lambda: other.retrieve_schemas(image),
        lambda: other.retrieve_slots(own.embed(image)[0]),
    ):
        with pytest.raises(DataError, match="exported without its store"):
            question()


def test_an_export_is_not_trained_on(exported: Path) -> None:
    before = sorted(exported.iterdir())
    with pytest.raises(ConfigError, match="is an export") as caught:
        api.resume(exported, epochs=9)
    assert "resume the run" in str(caught.value.hint)
    assert sorted(exported.iterdir()) == before


def test_an_export_can_be_evaluated_on_a_store(exported: Path, trained: Path) -> None:
    store = api.load_run(trained).store.path
    assert nsi_cli.load_run(exported, data=store).retrieve("small", top=1).scenes > 1


def test_the_card_has_front_matter_schema_and_settings_but_no_path(
    exported: Path, trained: Path
) -> None:
    card = (exported / "README.md").read_text(encoding="utf-8")
    _, front, rest = card.split("---\n", 2)
    assert yaml.safe_load(front)["library_name"] == "nsi"
    for item in api.load_run(trained).run.schema.properties:
        assert f"| {item.name} |" in rest
    assert "num_slots" in rest
    home = str(trained.parent)
    for path in exported.iterdir():
        if path.suffix != ".safetensors":
            assert home not in path.read_text(encoding="utf-8"), path.name


@pytest.mark.slow
def test_the_example_of_the_card_runs(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    card = (exported / "README.md").read_text(encoding="utf-8")
    code = (
        card.split("```python\n")[1].split("```")[0].replace("PATH/TO/THIS/FOLDER", str(exported))
    )
    assert len([line for line in code.splitlines() if line.strip()]) <= 20
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (60, 40), "gray").save("picture.png")
    names: dict = {}
    exec(compile(code, "card", "exec"), names)
    assert (tmp_path / "slots.png").is_file()
    assert (tmp_path / "where.png").is_file()
    assert names["embeddings"].ndim == 3


def test_metrics_stand_in_the_card_once_the_run_is_evaluated(
    trained: Path, evaluated: Path, tmp_path: Path
) -> None:
    copied = shutil.copytree(trained, tmp_path / "run")
    shutil.rmtree(copied / "eval", ignore_errors=True)
    without = api.export(copied, tmp_path / "without")
    assert "was not evaluated" in (without / "README.md").read_text(encoding="utf-8")
    result = json.loads((evaluated / "eval" / "test.json").read_text(encoding="utf-8"))
    card = (api.export(evaluated, tmp_path / "with") / "README.md").read_text(encoding="utf-8")
    recall = result["retrieval"]["image_to_schema"]["R@1"]["value"]
    assert f"| image → schema | R@1 | {recall:.3f} |" in card


def test_nothing_is_overwritten(exported: Path, trained: Path) -> None:
    with pytest.raises(DataError, match="exists already"):
        api.export(trained, exported)


def test_a_failed_export_leaves_nothing(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise NsiError("no room")

    monkeypatch.setattr("nsi_cli.interpretation.export.write_known", broken)
    with pytest.raises(NsiError, match="no room"):
        api.export(trained, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text", ["{", "{}", '{"range": 3, "object_scores": [], "build_options": {}}']
)
def test_a_damaged_export_is_one_line(exported: Path, tmp_path: Path, text: str) -> None:
    copied = shutil.copytree(exported, tmp_path / "model")
    (copied / "training_data.json").write_text(text, encoding="utf-8")
    with pytest.raises(NsiError):
        api.load_run(copied)
