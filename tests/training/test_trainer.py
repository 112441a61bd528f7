"""A run is a function of its options: repeated, killed and resumed, it comes out the same."""

from __future__ import annotations

import itertools
import json
import math
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from nsi_cli.data.loading.batch import Batch
from nsi_cli.data.store.reader import open_store
from nsi_cli.models.decoder import SlotDecoder
from nsi_cli.support.errors import ConfigError, DataError, Interrupted, NsiError
from nsi_cli.support.options import check_options
from nsi_cli.training import trainer as trainer_module
from nsi_cli.training.checkpoint import load_state, load_weights
from nsi_cli.training.config import TrainConfig
from nsi_cli.training.log import Log
from nsi_cli.training.prepare import check
from nsi_cli.training.step import Step
from nsi_cli.training.trainer import Trainer

TrainerOf = Callable[..., Trainer]
STEPS, PER_EPOCH = 18, 6


def assert_same(run: Path, other: Path) -> None:
    """Every line of the metrics and every bit of both checkpoints."""
    assert (run / "metrics.jsonl").read_bytes() == (other / "metrics.jsonl").read_bytes()
    for name in ("best", "last"):
        mine, theirs = (load_weights(path / "checkpoints" / name) for path in (run, other))
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(mine[key], theirs[key]) for key in mine)
        folders = [path / "checkpoints" / name for path in (run, other)]
        (state, at), (other_state, other_at) = map(load_state, folders)
        assert at == other_at
        assert str(state) == str(other_state)


def test_a_run_logs_each_step_and_each_epoch(
    trained: Path, lines: Callable[[Path], list[dict[str, Any]]]
) -> None:
    result = lines(trained)
    steps = [line for line in result if line["kind"] == "train"]
    assert [line["step"] for line in steps] == list(range(1, STEPS + 1))
    assert [line["epoch"] for line in steps] == [0] * 6 + [1] * 6 + [2] * 6
    epochs = [line for line in result if line["kind"] == "val"]
    assert [line["step"] for line in epochs] == [6, 12, 18]
    for line in result:
        assert line["loss"] == pytest.approx(line["contrastive"] + line["reconstruction"])
        assert 0 <= line["R@1"] <= 1
    assert all(line["grad_norm"] > 0 for line in steps)
    assert {path.name for path in trained.iterdir()} >= {
        "config.yaml", "schema.json", "metrics.jsonl", "tensorboard", "checkpoints",
    }  # fmt: skip


def test_the_rate_warms_up(trained: Path, lines: Callable[[Path], list[dict[str, Any]]]) -> None:
    rates = [line["lr"] for line in lines(trained) if line["kind"] == "train"]
    assert rates[:6] == pytest.approx([2e-4, 4e-4, 6e-4, 8e-4, 1e-3, 1e-3])


def test_training_lowers_the_loss(
    trained: Path, lines: Callable[[Path], list[dict[str, Any]]]
) -> None:
    losses = [line["reconstruction"] for line in lines(trained) if line["kind"] == "val"]
    assert losses[-1] < losses[0]


@pytest.mark.slow
def test_one_seed_is_one_run(trainer_of: TrainerOf, trained: Path, tmp_path: Path) -> None:
    trainer_of(tmp_path / "again").fit()
    assert_same(tmp_path / "again", trained)


@pytest.mark.slow
def test_another_seed_is_another_run(trainer_of: TrainerOf, trained: Path, tmp_path: Path) -> None:
    trainer_of(tmp_path / "other", seed=1, epochs=1).fit()
    first, other = ((run / "metrics.jsonl").read_text().splitlines()[0]
                    for run in (trained, tmp_path / "other"))  # fmt: skip
    assert first != other


@pytest.mark.slow
def test_reading_in_workers_and_without_the_cache_changes_nothing(
    trainer_of: TrainerOf, trained: Path, tmp_path: Path
) -> None:
    trainer_of(tmp_path / "run", num_workers=1, feature_cache="off").fit()
    assert_same(tmp_path / "run", trained)


class Killed(BaseException):
    """The process ends here."""


def die_before(monkeypatch: pytest.MonkeyPatch, name: str, wanted: str) -> None:
    """Let the trainer die where it calls its method ``name`` in the wanted situation."""
    method = getattr(Trainer, name)

    def dying(trainer: Trainer, *args: Any, **options: Any) -> Any:
        at = trainer._state
        if wanted in (f"step {at.step}", f"epoch {at.epoch}", f"{args[0]}, epoch {at.epoch}"):
            raise Killed
        return method(trainer, *args, **options)

    monkeypatch.setattr(Trainer, name, dying)


EVERY_STEP, EVERY_EPOCH = 1e-9, 10.0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("saved", "name", "wanted"),
    [
        (EVERY_EPOCH, "_train_batch", "step 3"),  # before the first checkpoint
        (EVERY_EPOCH, "_train_batch", "step 8"),
        (EVERY_EPOCH, "_train_batch", "step 17"),
        (EVERY_EPOCH, "_validate", "epoch 1"),
        (EVERY_EPOCH, "_save", "best, epoch 1"),
        (EVERY_EPOCH, "_save", "last, epoch 1"),  # the best is of a later step than the last
        (EVERY_EPOCH, "_save", "last, epoch 3"),
        (EVERY_STEP, "_train_batch", "step 8"),
        (EVERY_STEP, "_train_batch", "step 12"),
        (EVERY_STEP, "_validate", "epoch 1"),
        (EVERY_STEP, "_save", "last, epoch 2"),
    ],
)
def test_a_run_killed_anywhere_goes_on_as_if_it_had_not_been(
    saved: float, name: str, wanted: str, trainer_of: TrainerOf, trained: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        die_before(patch, name, wanted)
        with pytest.raises(Killed):
            trainer_of(run, checkpoint_minutes=saved).fit()
    trainer_of(run, resume=True).fit()
    assert_same(run, trained)


@pytest.mark.slow
def test_a_finished_run_resumed_stays_as_it_is(
    trainer_of: TrainerOf, trained: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    trainer_of(run).fit()
    trainer_of(run, resume=True).fit()
    assert_same(run, trained)


@pytest.mark.slow
def test_the_best_checkpoint_is_of_the_lowest_validation_loss(
    trainer_of: TrainerOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([3.0, 1.0, 2.0])
    monkeypatch.setattr(Trainer, "_validate", lambda self, log: {"loss": next(losses)})
    trainer_of(tmp_path / "run", patience=1).fit()
    (_, best), (_, last) = (load_state(tmp_path / "run" / "checkpoints" / name)
                            for name in ("best", "last"))  # fmt: skip
    assert (best.step, best.plateau.best) == (12, 1.0)
    assert (last.step, last.plateau.best) == (18, 1.0)


@pytest.mark.slow
def test_the_rate_falls_where_validation_stands_still(
    trainer_of: TrainerOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    lines: Callable[[Path], list[dict[str, Any]]],
) -> None:  # fmt: skip
    monkeypatch.setattr(Trainer, "_validate", lambda self, log: {"loss": 1.0})
    trainer_of(tmp_path / "run", patience=1, lr_warmup_steps=0, lr=1e-3).fit()
    rates = [line["lr"] for line in lines(tmp_path / "run") if line["kind"] == "train"]
    assert rates[::PER_EPOCH] == pytest.approx([1e-3, 1e-3, 5e-4])


def test_a_loss_that_is_not_finite_ends_the_run_in_one_line(
    trainer_of: TrainerOf, tmp_path: Path
) -> None:
    with pytest.raises(NsiError, match="not finite at step") as result:
        trainer_of(tmp_path / "run", lr=1e30, lr_warmup_steps=0, epochs=9).fit()
    assert "\n" not in result.value.message
    assert "--lr" in result.value.hint


def test_a_gradient_that_is_not_finite_ends_the_run_in_one_line(
    trainer_of: TrainerOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = trainer_of(tmp_path / "run")
    fabric = trainer._step._fabric
    monkeypatch.setattr(fabric, "clip_gradients", lambda *_, **__: torch.tensor(math.inf))
    with pytest.raises(NsiError, match="the gradient is not finite at step 1") as result:
        trainer.fit()
    assert result.value.hint


def test_a_gradient_that_is_not_clipped_is_looked_at_too(
    trainer_of: TrainerOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = trainer_of(tmp_path / "run", clip="image-encoder")
    train = Step.train

    def poisoned(step: Step, *given: Any) -> Any:
        result = train(step, *given)
        trainer._model.schema_encoder.norm.weight.grad.fill_(math.inf)
        return result

    monkeypatch.setattr(Step, "train", poisoned)
    with pytest.raises(NsiError, match="the gradient is not finite at step 1"):
        trainer.fit()


def poison(monkeypatch: pytest.MonkeyPatch, *steps: int) -> None:
    """Let these steps, counted from 1, see features that are no numbers."""
    train = Step.train

    def poisoned(step: Step, batch: Batch, annotated: Any, number: int, size: int) -> Any:
        if number + 1 in steps:
            assert batch.features is not None
            batch = replace(batch, features=batch.features * math.nan)
        return train(step, batch, annotated, number, size)

    monkeypatch.setattr(Step, "train", poisoned)


@pytest.mark.slow
def test_the_batch_of_a_loss_that_is_not_finite_is_saved_and_named(
    trainer_of: TrainerOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: Path
) -> None:
    poison(monkeypatch, 8)
    run = tmp_path / "run"
    with pytest.raises(NsiError, match=r"at step 8; its batch is in .*step-8.json") as result:
        trainer_of(run).fit()
    assert "--on-nonfinite skip" in result.value.hint
    saved = json.loads((run / "nonfinite" / "step-8.json").read_text())
    assert saved["not_finite"] == "loss"
    assert saved["measures"]["loss"] == "nan"
    tensors = load_file(run / "nonfinite" / "step-8.safetensors")
    ids = open_store(store).ids("train")
    assert saved["scenes"] == [ids[place] for place in tensors["index"].tolist()]
    assert len(tensors["features"]) == len(tensors["primitives"]) == len(ids[:8])
    assert load_state(run / "checkpoints" / "last")[1].step == 6  # nothing saved since


@pytest.mark.slow
def test_steps_that_are_not_finite_can_be_skipped(
    trainer_of: TrainerOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    lines: Callable[[Path], list[dict[str, Any]]],
) -> None:  # fmt: skip
    poison(monkeypatch, 2, 3, 9)
    run = tmp_path / "run"
    trainer_of(run, on_nonfinite="skip").fit()
    steps = {kind: [line["step"] for line in lines(run) if line["kind"] == kind]
             for kind in ("train", "skipped")}  # fmt: skip
    assert steps["skipped"] == [2, 3, 9]
    assert sorted(steps["train"] + steps["skipped"]) == list(range(1, STEPS + 1))
    assert all(value.isfinite().all() for value in load_weights(run / "checkpoints/last").values())
    assert len(list((run / "nonfinite").glob("*.json"))) == 3


RELEASE = {
    "normalize": "none", "feature_precision": "32", "mask_absent": False, "max_program_len": 12,
    "clip": "image-encoder",
}  # fmt: skip
"""What the published release does and the defaults do not."""


@pytest.mark.slow
def test_the_releases_options_change_a_run(
    trainer_of: TrainerOf, trained: Path, tmp_path: Path,
    lines: Callable[[Path], list[dict[str, Any]]],
) -> None:  # fmt: skip
    trainer_of(tmp_path / "run", epochs=1, **RELEASE).fit()
    first, other = lines(tmp_path / "run")[0], lines(trained)[0]
    assert first["contrastive"] != pytest.approx(other["contrastive"])
    assert first["reconstruction"] == pytest.approx(other["reconstruction"], rel=1e-2)


@pytest.mark.slow
def test_with_the_releases_options_and_a_sample_of_tokens_a_run_resumes_and_needs_no_cache(
    trainer_of: TrainerOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {**RELEASE, "decode_tokens": 9}
    trainer_of(tmp_path / "whole", epochs=2, **options).fit()
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        die_before(patch, "_train_batch", "step 8")
        with pytest.raises(Killed):
            trainer_of(run, epochs=2, feature_cache="off", **options).fit()
    trainer_of(run, resume=True).fit()
    assert_same(run, tmp_path / "whole")


@pytest.mark.slow
def test_a_share_of_annotated_scenes_and_pieces_train_too(
    trainer_of: TrainerOf, tmp_path: Path, lines: Callable[[Path], list[dict[str, Any]]]
) -> None:
    run = tmp_path / "run"
    trainer_of(run, label_fraction=0.1, micro_batch_size=3, alignment="hungarian").fit()
    result = [line for line in lines(run) if line["kind"] == "train"]
    assert min(line["contrastive"] for line in result) == 0  # no annotated scene in the batch
    assert max(line["contrastive"] for line in result) > 0


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, RELEASE], ids=["defaults", "release"])
@pytest.mark.parametrize("precision", ["64", "bf16-mixed", "16-mixed"])
def test_other_precisions_train_almost_the_same_and_draw_too(
    precision: str, options: dict[str, Any], trainer_of: TrainerOf, tmp_path: Path,
    lines: Callable[[Path], list[dict[str, Any]]],
) -> None:  # fmt: skip
    run = tmp_path / "run"
    trainer_of(run, precision=precision, epochs=1, pictures_every=1, **options).fit()
    expected = trainer_of(tmp_path / "other", epochs=1, **options).dry_run()["loss"]
    loss = lines(run)[0]["loss"]
    assert loss == pytest.approx(expected, rel=1e-4 if precision == "64" else 0.05)
    assert loss != expected  # the precision is used
    weights = load_weights(run / "checkpoints" / "best").values()
    assert {value.dtype for value in weights} == {
        torch.float64 if precision == "64" else torch.float32
    }
    assert _pictures(run)


def _pictures(run: Path) -> list[str]:
    """The names of the pictures in a run's TensorBoard log."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (file,) = run.rglob("events.out.tfevents.*")
    events = EventAccumulator(str(file)).Reload()
    names: list[str] = events.Tags()["images"]
    return names


def test_a_dry_run_gives_the_losses_of_a_batch_and_writes_nothing(
    trainer_of: TrainerOf, tmp_path: Path, trained: Path,
    lines: Callable[[Path], list[dict[str, Any]]], tree: Callable[[Path], dict[str, bytes]],
) -> None:  # fmt: skip
    trainer = trainer_of(tmp_path / "run")
    before = tree(tmp_path)
    result = trainer.dry_run()
    assert result["loss"] == pytest.approx(lines(trained)[0]["loss"], rel=1e-6)
    assert tree(tmp_path) == before


def test_each_micro_batch_is_decoded_once(
    trainer_of: TrainerOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded, error = [], SlotDecoder.error

    def counted(decoder: SlotDecoder, slots: torch.Tensor, *given: Any) -> torch.Tensor:
        decoded.append(len(slots))
        return error(decoder, slots, *given)

    monkeypatch.setattr(SlotDecoder, "error", counted)
    trainer_of(tmp_path / "run", micro_batch_size=3).dry_run()
    assert decoded == [3, 3, 2]


def test_a_validation_decodes_all_tokens(trainer_of: TrainerOf, tmp_path: Path) -> None:
    losses = []
    for number in (0, 9):
        trainer = trainer_of(tmp_path / str(number), decode_tokens=number)
        losses.append((trainer.dry_run(), trainer._validate(Log())))
    (dry, validated), (sampled_dry, sampled_validated) = losses
    assert sampled_dry["reconstruction"] != dry["reconstruction"]
    assert sampled_validated == validated


def test_a_sample_of_more_tokens_than_there_are_is_refused(
    trainer_of: TrainerOf, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="--decode-tokens 37, but the backbone has 36 tokens"):
        trainer_of(tmp_path / "run", decode_tokens=37)


def config_of(tiny: dict[str, Any], **options: Any) -> TrainConfig:
    return check_options(TrainConfig, {**tiny, **options}, where="test")


def test_too_few_slots_are_warned_of_and_why(tiny: dict[str, Any], store: Path) -> None:
    (warning,) = check(config_of(tiny, num_slots=3), open_store(store))
    assert warning.startswith("3 slots for scenes of up to 10 objects")
    assert "share slots" in warning
    assert "--num-slots 11" in warning
    assert check(config_of(tiny), open_store(store)) == []


def test_a_batch_larger_than_the_split_is_warned_of(tiny: dict[str, Any], store: Path) -> None:
    (warning,) = check(config_of(tiny, batch_size=1000), open_store(store))
    assert "smaller than --batch-size 1000" in warning


@pytest.mark.parametrize(
    ("options", "remedy"),
    [({"image_size": 64}, "--image-size 48"), ({"max_program_len": 9}, "--max-program-len 10")],
)
def test_options_that_do_not_fit_the_store_are_refused(
    options: dict[str, Any], remedy: str, tiny: dict[str, Any], store: Path
) -> None:
    with pytest.raises(ConfigError) as result:
        check(config_of(tiny, **options), open_store(store))
    assert remedy in result.value.hint


@pytest.mark.slow
def test_a_full_disk_is_told_and_the_run_can_be_resumed(
    trainer_of: TrainerOf, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, save = tmp_path / "run", trainer_module.save_checkpoint
    count = itertools.count()

    def full(*args: Any, **options: Any) -> None:
        if next(count) == 3:
            raise DataError("cannot write: the disk is full", "free some space")
        save(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(trainer_module, "save_checkpoint", full)
        with pytest.raises(DataError, match="disk is full"):
            trainer_of(run).fit()
    trainer_of(run, resume=True).fit()
    assert_same(run, trained)


@pytest.mark.timeout(60)
def test_a_pipe_in_place_of_the_log_is_told(trainer_of: TrainerOf, tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path / "run")
    os.mkfifo(tmp_path / "run" / "metrics.jsonl")
    with pytest.raises(DataError, match=r"cannot write .*metrics\.jsonl"):
        trainer.fit()


def test_a_signal_before_the_first_step_stops_at_once(
    trainer_of: TrainerOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        trainer_module, "prepare_cache", lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM)
    )
    with pytest.raises(Interrupted, match="at once") as result:
        trainer_of(tmp_path / "run").fit()
    assert result.value.exit_code == 130


@pytest.mark.slow
def test_a_second_signal_stops_at_once_and_keeps_the_last_checkpoint(
    trainer_of: TrainerOf, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, validate = tmp_path / "run", Trainer._validate

    def twice(trainer: Trainer, log: Any) -> Any:
        if trainer._state.epoch == 1:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        return validate(trainer, log)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_validate", twice)
        with pytest.raises(Interrupted, match="at once"):
            trainer_of(run).fit()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert load_state(run / "checkpoints" / "last")[1].step == PER_EPOCH
    trainer_of(run, resume=True).fit()
    assert_same(run, trained)
