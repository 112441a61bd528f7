"""The training loop: epochs over the store, validation, checkpoints, and a way back from any."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from nsi_cli.data.features.cache import FeatureCache
from nsi_cli.data.loading.batch import Batch
from nsi_cli.data.loading.loader import LoaderOptions
from nsi_cli.data.loading.workers import batches_of
from nsi_cli.models.features import features_of, prepare_cache
from nsi_cli.support.errors import NsiError, PluginError
from nsi_cli.support.progress import SILENT, Advance, Progress
from nsi_cli.training.checkpoint import (
    Progressed,
    load_state,
    load_weights,
    restore,
    save_checkpoint,
)
from nsi_cli.training.interruption import Interrupted, Interruption
from nsi_cli.training.log import Log, RunLog, slot_pictures
from nsi_cli.training.nonfinite import MOST, save_nonfinite
from nsi_cli.training.prepare import TRAIN, VAL, Prepared, annotated_scenes
from nsi_cli.training.run import Run
from nsi_cli.training.schedule import learning_rate
from nsi_cli.training.step import LOSS, RECALL, NotFinite, Step, Told

if TYPE_CHECKING:
    from nsi_cli.data.loading.dataloader import Batches, MakeDataloader


PICTURES = 8
"""Images of a validation whose slots are drawn."""


class Trainer:
    """Trains one run. `fit` goes on from wherever the run's last checkpoint was.

    Where several processes train together, each has a trainer; all of them step as one, and the
    first alone writes and tells.
    """

    def __init__(self, prepared: Prepared, run: Run, *, progress: Progress = SILENT) -> None:
        self._at = Progressed()
        self._run = run
        self._config, self._store = prepared.config, prepared.store
        self._backbone, self._fabric = prepared.backbone, prepared.fabric
        self._load: MakeDataloader = prepared.task.load_dataloader()
        self._model = prepared.model
        self._step = Step(prepared.config, prepared.model, prepared.backbone, prepared.fabric)
        self._group = self._step.group
        self._progress = progress if self._group.first else SILENT
        known = annotated_scenes(
            self._config.seed, self._store.count(TRAIN), self._config.annotated
        )
        self._annotated = torch.from_numpy(known).to(self._fabric.device)
        self._cache: FeatureCache | None = None

    def resume(self) -> None:
        """Take up the run's last checkpoint. Raises `DataError` where there is none."""
        folder = self._run.last
        restore(self._model, load_weights(folder), folder)
        state, self._at = load_state(folder)
        self._step.optimizer.load_state_dict(state["optimizer"])
        self._fabric.strategy.precision.load_state_dict(state["precision"])
        self._progress.note(f"goes on after step {self._at.step:,}")

    def dry_run(self) -> Told:
        """The measures of one batch, forward and backward; nothing is written."""
        batch = self._ready(next(batches_of(self._batches(TRAIN, 0, 0))), TRAIN)
        return self._step.train(batch, self._annotated[batch.index], 0, self._size(TRAIN))

    def fit(self) -> None:
        """Train to the last epoch. Raises `Interrupted` once saved, where a signal asks to stop."""
        try:
            with Interruption() as interruption:
                splits = [split for split in (TRAIN, VAL) if split in self._store.splits]
                where = self._config.feature_cache
                self._cache = prepare_cache(
                    self._backbone, self._store, splits, where, self._progress
                )
                interruption.patient = True
                self._fit(interruption)
        except KeyboardInterrupt:
            raise Interrupted(
                "interrupted at once, nothing saved since the last checkpoint"
            ) from None

    def _fit(self, interruption: Interruption) -> None:
        log = self._log()
        per_epoch = len(self._batches(TRAIN, 0, 0))
        total, done = per_epoch * self._config.epochs, self._at.step
        size = self._size(TRAIN)
        with (
            closing(log),
            self._progress.stage("train", total * size, "images", done * size) as advance,
        ):
            while self._at.epoch < self._config.epochs:
                self._train_epoch(log, interruption, advance)
                self._end_epoch(log)
                (asked,) = self._group.any(interruption.asked)
                if asked and self._at.epoch < self._config.epochs:
                    self._stop()

    def _log(self) -> Log:
        if not self._group.first:
            return Log()
        return RunLog(self._run.metrics, self._run.path / "tensorboard", step=self._at.step)

    def _train_epoch(self, log: Log, interruption: Interruption, advance: Advance) -> None:
        """Train what is left of the epoch, and save now and then."""
        at, saved = self._at, time.monotonic()
        batches = self._batches(TRAIN, at.epoch, at.batches)
        left, size = len(batches), self._size(TRAIN)
        for raw in batches_of(batches):
            told = self._take(self._ready(raw, TRAIN), log)
            left -= 1
            self._at = self._at.after(told[LOSS] if told else None)
            said = f"loss {told[LOSS]:.3f}  R@1 {told[RECALL]:.2f}" if told else "skipped"
            advance(size, f"epoch {at.epoch + 1}/{self._config.epochs}  {said}")
            if not left:
                return  # the epoch's end validates and saves
            due = time.monotonic() - saved > 60 * self._config.checkpoint_minutes
            asked, due = self._group.any(interruption.asked, due)
            if asked or due:
                self._save("last", log)
                saved = time.monotonic()
            if asked:
                self._stop()

    def _stop(self) -> None:
        raise Interrupted(f"interrupted after step {self._at.step}, saved")

    def _take(self, batch: Batch, log: Log) -> Told | None:
        """One optimiser step, logged; or what `on_nonfinite` says where it cannot be taken."""
        config, step = self._config, self._at.step
        rate = learning_rate(config.lr, step, config.lr_warmup_steps, self._at.plateau)
        try:
            told = self._step.train(batch, self._annotated[batch.index], step, self._size(TRAIN))
            norm = self._step.update(told, rate)
        except NotFinite as error:
            self._leave_out(error, batch, log)
            return None
        if (step + 1) % config.log_every == 0:
            more = {"lr": rate, "grad_norm": norm}
            log.write("train", step + 1, {"epoch": self._at.epoch, **told, **more})
        return told

    def _leave_out(self, error: NotFinite, batch: Batch, log: Log) -> None:
        """Save the batch of a step that cannot be taken; raise `NsiError` unless it is skipped."""
        step = self._at.step + 1
        ids = self._store.ids(TRAIN)
        saved = save_nonfinite(
            self._run.path,
            vars(batch),
            step=step,
            epoch=self._at.epoch,
            split=TRAIN,
            scenes=[ids[place] for place in batch.index.tolist()],
            measures=error.told,
            what=error.what,
            rank=self._group.rank,
            most=MOST,
        )
        where = f"; its batch is in {saved}" if saved else ""
        if self._config.on_nonfinite == "skip":
            log.write("skipped", step, {"epoch": self._at.epoch})
            self._progress.note(f"step {step} is skipped: {error.message}{where}")
            return
        raise NsiError(
            f"{error.message} at step {step}{where}",
            f"{error.hint}, or --on-nonfinite skip; the last checkpoint is in {self._run.path}",
        ) from None

    def _end_epoch(self, log: Log) -> None:
        """Validate, let the schedule see the loss, and save."""
        config, at = self._config, self._at
        told = self._validate(log) if VAL in self._store.splits else {}
        mean = at.running / at.counted if at.counted else float("inf")
        loss = told.get(LOSS, mean)
        better = loss < at.plateau.best
        plateau = at.plateau.after(loss, patience=config.patience, factor=config.lr_factor)
        self._at = Progressed(at.step, at.epoch + 1, plateau=plateau)
        if told:
            log.write("val", at.step, {"epoch": at.epoch, **told})
        if better:
            self._save("best", log)
        self._save("last", log)

    def _validate(self, log: Log) -> Told:
        """The mean measures over the validation split, whose batches are all of one size."""
        every = self._config.pictures_every
        draw = bool(every) and self._at.epoch % every == 0 and self._group.first
        told = []
        for place, raw in enumerate(batches_of(self._batches(VAL, 0, 0, images=draw))):
            batch = self._ready(raw, VAL)
            told.append(self._step.measure(batch, self._size(VAL)))
            if draw and not place:
                self._draw(batch, log)
        return {name: sum(one[name] for one in told) / len(told) for name in told[0]}

    @torch.no_grad()
    def _draw(self, batch: Batch, log: Log) -> None:
        """Log the slots of a batch's first images."""
        few = batch.rows(slice(0, PICTURES))
        if few.images is None:
            return
        features, like = features_of(few, self._backbone), next(self._model.parameters())
        noise = self._step.noise_of(few)
        encoding = self._model.image_encoder(features.to(like), noise.to(like))
        picture = slot_pictures(few.images, encoding, self._backbone.grid)
        log.picture("val/slots", self._at.step, picture)

    def _size(self, split: str) -> int:
        """The scenes of a whole batch."""
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
            part=(self._group.rank, self._group.count),
            images=images or self._cache is None,
            features=self._cache,
            pin_memory=self._fabric.device.type == "cuda",
        )
        return self._load(self._store, split, options)

    def _ready(self, batch: Batch, split: str) -> Batch:
        """The batch on the device, with the primitives that the model is to read."""
        if len(batch) != len(self._group.share(self._size(split))):
            raise PluginError(
                f"the dataloader of task '{self._config.task}' gave {len(batch)} scenes of a batch "
                f"of {self._size(split)} to one of {self._group.count} processes",
                "it must heed `batch_size`, `drop_last` and `part` of its options",
            )
        most = self._config.max_program_len
        cut = replace(batch, primitives=batch.primitives[:, :most], present=batch.present[:, :most])
        return cut.map(lambda tensor: tensor.to(self._fabric.device, non_blocking=True))

    def _save(self, name: str, log: Log) -> None:
        """Save a checkpoint, and before it the lines that it counts on."""
        keep = self._config.keep_last if name == "last" else None
        folder, weights = self._run.checkpoint(name), self._model.state_dict()
        state = {
            "optimizer": self._step.optimizer.state_dict(),
            "precision": self._fabric.strategy.precision.state_dict(),
        }

        def save() -> None:
            log.flush()
            save_checkpoint(folder, weights, state, self._at, keep=keep)

        self._group.by_first(save)
