"""The training loop: epochs over the store, validation, checkpoints, resuming from them."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from nsi_cli.data.features.cache import FeatureCache
from nsi_cli.data.loading.batch import Batch
from nsi_cli.data.loading.loader import LoaderOptions
from nsi_cli.data.loading.workers import batches_of
from nsi_cli.models.features import features_of, prepare_cache
from nsi_cli.support.errors import Interrupted, NsiError, PluginError
from nsi_cli.support.progress import SILENT, Advance, Progress
from nsi_cli.training.checkpoint import (
    TrainingState,
    load_weights,
    restore,
    save_checkpoint,
    store_warnings,
)
from nsi_cli.training.interruption import Interruption
from nsi_cli.training.log import Log, RunLog, slot_pictures
from nsi_cli.training.nonfinite import MOST, save_nonfinite
from nsi_cli.training.prepare import TRAIN, VAL, Prepared, annotated_scenes
from nsi_cli.training.run import Run
from nsi_cli.training.schedule import learning_rate
from nsi_cli.training.step import LOSS, RECALL, Metrics, NotFinite, Step

if TYPE_CHECKING:
    from nsi_cli.data.loading.loader import Batches, MakeDataloader


PICTURES = 8
"""Images of a validation whose slots are drawn."""


class Trainer:
    """Trains one run, from its start or, after `resume`, from its last checkpoint.

    If several processes train together, each has a trainer. They step together, and only the
    first writes files and shows progress.
    """

    def __init__(self, prepared: Prepared, run: Run, *, progress: Progress = SILENT) -> None:
        self._state = TrainingState()
        self._run = run
        self._config, self._store = prepared.config, prepared.store
        self._backbone, self._fabric = prepared.backbone, prepared.fabric
        self._load: MakeDataloader = prepared.task.load_dataloader()
        self._model = prepared.model
        self._step = Step(prepared.config, prepared.model, prepared.backbone, prepared.fabric)
        self.group = self._step.group
        self._progress = progress if self.group.first else SILENT
        self._annotated: Tensor | None = None  # all scenes
        if self._config.label_fraction < 1:
            annotated = annotated_scenes(
                self._config.seed, self._store.count(TRAIN), self._config.label_fraction
            )
            self._annotated = torch.from_numpy(annotated).to(self._fabric.device)
        self._cache: FeatureCache | None = None

    def resume(self, loaded: tuple[dict[str, Any], TrainingState]) -> None:
        """Restore the run's last checkpoint, whose state is ``loaded``.

        Warns if the store was replaced. Raises `DataError` if the weights cannot be read.
        """
        folder = self._run.last
        restore(self._model, load_weights(folder), folder)
        for warning in store_warnings(folder, self._store):
            self._progress.note(warning)
        state, self._state = loaded
        self._step.optimizer.load_state_dict(state["optimizer"])
        self._fabric.strategy.precision.load_state_dict(state["precision"])
        self._progress.note(f"resuming after step {self._state.step:,}")

    def dry_run(self) -> Metrics:
        """The metrics of one batch, forward and backward; nothing is written."""
        batch = self._to_device(next(batches_of(self._batches(TRAIN, 0, 0))), TRAIN)
        return self._train(batch, 0)

    def fit(self) -> None:
        """Train to the last epoch. After a signal, saves and raises `Interrupted`."""
        try:
            with Interruption() as interruption:
                splits = [split for split in (TRAIN, VAL) if split in self._store.splits]
                where, part = self._config.feature_cache, (self.group.rank, self.group.count)
                self._cache = prepare_cache(
                    self._backbone, self._store, splits, where, self._progress, part=part
                )
                interruption.graceful = True
                self._fit(interruption)
        except KeyboardInterrupt:
            raise Interrupted(
                "interrupted at once; nothing was saved since the last checkpoint"
            ) from None

    def _fit(self, interruption: Interruption) -> None:
        log = self._log()
        per_epoch = len(self._batches(TRAIN, 0, 0))
        total, done = per_epoch * self._config.epochs, self._state.step
        with closing(log), self._progress.stage("train", total, "steps", done) as advance:
            while self._state.epoch < self._config.epochs:
                self._train_epoch(log, interruption, advance)
                self._end_epoch(log)
                (stop,) = self.group.any_of(interruption.requested)
                if stop and self._state.epoch < self._config.epochs:
                    self._stop()

    def _log(self) -> Log:
        if not self.group.first:
            return Log()
        return RunLog(self._run.metrics, self._run.path / "tensorboard", step=self._state.step)

    def _train_epoch(self, log: Log, interruption: Interruption, advance: Advance) -> None:
        """Train the rest of the epoch, and save every ``checkpoint_minutes``."""
        start, saved = self._state, time.monotonic()
        batches = self._batches(TRAIN, start.epoch, start.batches)
        left = len(batches)
        for raw in batches_of(batches):
            metrics = self._train_batch(self._to_device(raw, TRAIN), log)
            left -= 1
            self._state = self._state.after(metrics[LOSS] if metrics else None)
            text = "skipped"
            if metrics:
                text = f"loss {metrics[LOSS]:.3f}  R@1 {metrics[RECALL]:.2f}"
            advance(1, f"epoch {start.epoch + 1}/{self._config.epochs}  {text}")
            if not left:
                return  # the end of the epoch validates and saves
            due = time.monotonic() - saved > 60 * self._config.checkpoint_minutes
            stop, due = self.group.any_of(interruption.requested, due)
            if stop or due:
                self._save("last", log)
                saved = time.monotonic()
            if stop:
                self._stop()

    def _stop(self) -> None:
        raise Interrupted(f"interrupted after step {self._state.step}, saved")

    def _train_batch(self, batch: Batch, log: Log) -> Metrics | None:
        """Take one optimizer step and log it; None if it was skipped as not finite."""
        config, step = self._config, self._state.step
        rate = learning_rate(config.lr, step, config.lr_warmup_steps, self._state.plateau)
        try:
            metrics = self._train(batch, step)
            norm = self._step.update(metrics, rate)
        except NotFinite as error:
            self._skip_or_raise(error, batch, log)
            return None
        if (step + 1) % config.log_every == 0:
            values = {"epoch": self._state.epoch, **metrics, "lr": rate, "grad_norm": norm}
            log.write("train", step + 1, values)
        return metrics

    def _train(self, batch: Batch, step: int) -> Metrics:
        """Compute the gradient of a step."""
        annotated = None if self._annotated is None else self._annotated[batch.index]
        return self._step.train(batch, annotated, step, self._size(TRAIN))

    def _skip_or_raise(self, error: NotFinite, batch: Batch, log: Log) -> None:
        """Save the batch of a step that is not finite; raise `NsiError` unless it is skipped."""
        step = self._state.step + 1
        ids = self._store.ids(TRAIN)
        saved = save_nonfinite(
            self._run.path,
            vars(batch),
            step=step,
            epoch=self._state.epoch,
            split=TRAIN,
            scenes=[ids[index] for index in batch.index.tolist()],
            measures=error.metrics,
            what=error.what,
            rank=self.group.rank,
            most=MOST,
        )
        where = f"; its batch is in {saved}" if saved else ""
        if self._config.on_nonfinite == "skip":
            log.write("skipped", step, {"epoch": self._state.epoch})
            self._progress.note(f"step {step} is skipped: {error.message}{where}")
            return
        raise NsiError(
            f"{error.message} at step {step}{where}",
            f"{error.hint}, or --on-nonfinite skip; the last checkpoint is in {self._run.path}",
        ) from None

    def _end_epoch(self, log: Log) -> None:
        """Validate, update the learning rate's schedule, and save."""
        config, state = self._config, self._state
        metrics = self._validate(log) if VAL in self._store.splits else {}
        mean = state.running / state.counted if state.counted else float("inf")
        loss = metrics.get(LOSS, mean)
        better = loss < state.plateau.best
        plateau = state.plateau.after(loss, patience=config.patience, factor=config.lr_factor)
        self._state = TrainingState(state.step, state.epoch + 1, plateau=plateau)
        if metrics:
            log.write("val", state.step, {"epoch": state.epoch, **metrics})
        if better:
            self._save("best", log)
        self._save("last", log)

    def _validate(self, log: Log) -> Metrics:
        """The mean metrics over the batches of the validation split, which are all of one size."""
        every = self._config.pictures_every
        draw = bool(every) and self._state.epoch % every == 0 and self.group.first
        measured = []
        for number, raw in enumerate(batches_of(self._batches(VAL, 0, 0, images=draw))):
            batch = self._to_device(raw, VAL)
            measured.append(self._step.measure(batch, self._size(VAL)))
            if draw and number == 0:
                self._draw(batch, log)
        return {name: sum(each[name] for each in measured) / len(measured) for name in measured[0]}

    @torch.no_grad()
    def _draw(self, batch: Batch, log: Log) -> None:
        """Log a picture of the slots of a batch's first images."""
        few = batch.rows(slice(0, PICTURES))
        if few.images is None:
            return
        features, like = features_of(few, self._backbone), next(self._model.parameters())
        noise = self._step.noise_of(few)
        encoding = self._model.image_encoder(features.to(like), noise.to(like))
        picture = slot_pictures(few.images, encoding, self._backbone.grid)
        log.picture("val/slots", self._state.step, picture)

    def _size(self, split: str) -> int:
        """The number of scenes of a global batch."""
        return min(self._config.batch_size, self._store.count(split))

    def _batches(self, split: str, epoch: int, start: int, *, images: bool = False) -> Batches:
        config, training = self._config, split == TRAIN
        options = LoaderOptions(
            batch_size=config.batch_size,
            workers=config.num_workers,
            shuffle=training,
            drop_last=True,  # the contrastive loss depends on the batch's size
            seed=config.seed,
            epoch=epoch,
            start=start,
            part=(self.group.rank, self.group.count),
            images=images or self._cache is None,
            features=self._cache,
            pin_memory=self._fabric.device.type == "cuda",
        )
        return self._load(self._store, split, options)

    def _to_device(self, batch: Batch, split: str) -> Batch:
        """The batch on the device, with at most ``max_program_len`` primitives a scene."""
        if len(batch) != len(self.group.share(self._size(split))):
            raise PluginError(
                f"the dataloader of task '{self._config.task}' gave {len(batch)} scenes of a batch "
                f"of {self._size(split)} to one of {self.group.count} processes",
                "it must follow `batch_size`, `drop_last` and `part` of its options",
            )
        limit = self._config.max_program_len
        read = replace(
            batch, primitives=batch.primitives[:, :limit], present=batch.present[:, :limit]
        )
        return read.map(lambda tensor: tensor.to(self._fabric.device, non_blocking=True))

    def _save(self, name: str, log: Log) -> None:
        """Save a checkpoint, after the log lines up to its step."""
        keep = self._config.keep_last if name == "last" else None
        folder, weights = self._run.checkpoint(name), self._model.state_dict()
        state = {
            "optimizer": self._step.optimizer.state_dict(),
            "precision": self._fabric.strategy.precision.state_dict(),
        }

        def save() -> None:
            log.flush()
            save_checkpoint(
                folder, weights, state, self._state, store=self._store.contents, keep=keep
            )

        self.group.run_on_first(save)
