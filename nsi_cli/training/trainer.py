"""The training loop: epochs over the store, validation, checkpoints, and a way back from any."""

from __future__ import annotations

import math
import time
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from nsi_cli.data.batch import Batch
from nsi_cli.data.features import FeatureCache
from nsi_cli.data.loader import LoaderOptions
from nsi_cli.errors import NsiError
from nsi_cli.models.features import features_of, prepare_cache
from nsi_cli.models.slot_noise import slot_noise
from nsi_cli.progress import SILENT, Advance, Progress
from nsi_cli.training.checkpoint import (
    Progressed,
    load_state,
    load_weights,
    restore,
    save_checkpoint,
)
from nsi_cli.training.interruption import Interrupted, Interruption
from nsi_cli.training.log import Log
from nsi_cli.training.pictures import slot_pictures
from nsi_cli.training.prepare import TRAIN, VAL, Prepared
from nsi_cli.training.run import Run
from nsi_cli.training.schedule import learning_rate
from nsi_cli.training.step import LOSS, RECALL, Objective, measures

if TYPE_CHECKING:
    from nsi_cli.plugins.parts import Batches


class Trainer:
    """Trains one run. `fit` goes on from wherever the run's last checkpoint was."""

    def __init__(self, prepared: Prepared, run: Run, *, progress: Progress = SILENT) -> None:
        self._at = Progressed()
        self._run, self._progress = run, progress
        self._config, self._store = prepared.config, prepared.store
        self._backbone, self._fabric = prepared.backbone, prepared.fabric
        self._load = prepared.task.load_dataloader()
        self._model, config = prepared.model, prepared.config
        adam = torch.optim.Adam(self._model.parameters(), lr=config.lr)
        objective = Objective(self._model, tau=config.tau, beta=config.beta)
        self._objective, self._optimizer = prepared.fabric.setup(objective, adam)
        self._cache: FeatureCache | None = None

    def resume(self) -> None:
        """Take up the run's last checkpoint. Raises `DataError` where there is none."""
        restore(self._model, load_weights(self._run.last), self._run.last)
        state, self._at = load_state(self._run.last)
        self._optimizer.load_state_dict(state["optimizer"])
        self._fabric.strategy.precision.load_state_dict(state["precision"])

    def dry_run(self) -> dict[str, float]:
        """The losses of one batch, forward and backward; nothing is written."""
        batch = self._ready(next(iter(self._batches(TRAIN, 0, 0))))
        losses = self._losses(batch, step=0)
        self._fabric.backward(losses[LOSS])
        return measures(losses)

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
        log = Log(self._run.metrics, self._run.path / "tensorboard", step=self._at.step)
        per_epoch = len(self._batches(TRAIN, 0, 0))
        total, done = per_epoch * self._config.epochs, self._at.step
        size = min(self._config.batch_size, self._store.count(TRAIN))
        with (
            closing(log),
            self._progress.stage("train", total * size, "images", done * size) as advance,
        ):
            while self._at.epoch < self._config.epochs:
                self._train_epoch(log, interruption, advance)
                self._end_epoch(log)
                if interruption.asked and self._at.epoch < self._config.epochs:
                    self._stop()

    def _train_epoch(self, log: Log, interruption: Interruption, advance: Advance) -> None:
        """Train what is left of the epoch, and save now and then."""
        at, saved = self._at, time.monotonic()
        batches = self._batches(TRAIN, at.epoch, at.batches)
        left = len(batches)
        self._objective.train()
        for batch in batches:
            told = self._step(self._ready(batch), log)
            left -= 1
            at = self._at
            self._at = replace(
                at, step=at.step + 1, batches=at.batches + 1, running=at.running + told[LOSS]
            )
            said = f"loss {told[LOSS]:.3f}  R@1 {told[RECALL]:.2f}"
            advance(len(batch), f"epoch {at.epoch + 1}/{self._config.epochs}  {said}")
            if not left:
                return  # the epoch's end validates and saves
            due = time.monotonic() - saved > 60 * self._config.checkpoint_minutes
            if due or interruption.asked:
                log.flush()
                self._save("last")
                saved = time.monotonic()
            if interruption.asked:
                self._stop()

    def _stop(self) -> None:
        raise Interrupted(f"interrupted after step {self._at.step}, saved")

    def _step(self, batch: Batch, log: Log) -> dict[str, float]:
        config, step = self._config, self._at.step
        rate = learning_rate(config.lr, step, config.lr_warmup_steps, self._at.plateau)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        losses = self._losses(batch, step=step)
        told = measures(losses)
        self._check_finite("loss", told[LOSS])
        self._optimizer.zero_grad(set_to_none=True)
        self._fabric.backward(losses[LOSS])
        norm = self._fabric.clip_gradients(
            self._objective, self._optimizer, max_norm=config.grad_clip, error_if_nonfinite=False
        )
        assert norm is not None
        if config.precision != "16-mixed":  # whose scaler leaves such a step out, and goes on
            self._check_finite("gradient", norm.item())
        self._optimizer.step()
        if (step + 1) % config.log_every == 0:
            more = {"lr": rate, "grad_norm": norm.item()}
            log.write("train", step + 1, {"epoch": self._at.epoch, **told, **more})
        return told

    def _check_finite(self, what: str, value: float) -> None:
        if not math.isfinite(value):
            raise NsiError(
                f"the {what} is not finite at step {self._at.step + 1}",
                f"lower --lr, or --precision 32-true; the last checkpoint is in {self._run.path}",
            )

    def _losses(self, batch: Batch, *, step: int) -> dict[str, Tensor]:
        """Losses of a training batch. All chance in it is a function of seed and step."""
        config = self._config
        noise = slot_noise(config, seed=config.seed, step=step, positions=range(len(batch)))
        torch.manual_seed((config.seed << 32) + step)  # dropout
        return self._forward(batch, noise)

    def _forward(self, batch: Batch, noise: Tensor) -> dict[str, Tensor]:
        features = features_of(batch, self._backbone)
        noise = noise.to(features.device)
        losses: dict[str, Tensor] = self._objective(
            features, batch.primitives, batch.present, noise
        )
        return losses

    def _end_epoch(self, log: Log) -> None:
        """Validate, let the schedule see the loss, and save."""
        config, at = self._config, self._at
        told = self._validate(log) if VAL in self._store.splits else {}
        loss = told.get(LOSS, at.running / at.batches)
        better = loss < at.plateau.best
        plateau = at.plateau.after(loss, patience=config.patience, factor=config.lr_factor)
        self._at = Progressed(at.step, at.epoch + 1, plateau=plateau)
        if told:
            log.write("val", at.step, {"epoch": at.epoch, **told})
        log.flush()
        if better:
            self._save("best")
        self._save("last")

    @torch.no_grad()
    def _validate(self, log: Log) -> dict[str, float]:
        """The mean measures over the validation split, each batch weighed by its size."""
        config, at = self._config, self._at
        every = config.pictures_every
        draw = bool(every) and at.epoch % every == 0
        self._objective.eval()
        sums: dict[str, float] = {}
        seen = 0
        for place, raw in enumerate(self._batches(VAL, 0, 0, images=draw)):
            batch = self._ready(raw)
            positions = batch.index.tolist()
            noise = slot_noise(config, seed=config.seed, step=None, positions=positions)
            for name, value in measures(self._forward(batch, noise)).items():
                sums[name] = sums.get(name, 0.0) + value * len(batch)
            seen += len(batch)
            if draw and not place:
                self._draw(batch, noise, log)
        return {name: value / seen for name, value in sums.items()}

    def _draw(self, batch: Batch, noise: Tensor, log: Log) -> None:
        """Log the slots of a batch's first images."""
        if batch.images is None:
            return
        features, like = features_of(batch, self._backbone), next(self._model.parameters())
        encoding = self._model.image_encoder(features.to(like), noise.to(like))
        picture = slot_pictures(batch.images, encoding, self._backbone.grid)
        log.picture("val/slots", self._at.step, picture)

    def _batches(self, split: str, epoch: int, start: int, *, images: bool = False) -> Batches:
        config, training = self._config, split == TRAIN
        whole = self._store.count(split) >= config.batch_size
        options = LoaderOptions(
            batch_size=config.batch_size,
            workers=config.num_workers,
            shuffle=training,
            drop_last=training or whole,  # the contrastive loss depends on the batch's size
            seed=config.seed,
            epoch=epoch,
            start=start,
            images=images or self._cache is None,
            features=self._cache,
            pin_memory=self._fabric.device.type == "cuda",
        )
        return self._load(self._store, split, options)

    def _ready(self, batch: Batch) -> Batch:
        """The batch on the device, with the primitives that the model is to read."""
        most = self._config.max_program_len
        cut = replace(batch, primitives=batch.primitives[:, :most], present=batch.present[:, :most])
        return cut.map(lambda tensor: tensor.to(self._fabric.device, non_blocking=True))

    def _save(self, name: str) -> None:
        weights = self._model.state_dict()
        folder = self._run.path / "checkpoints" / name
        state = {
            "optimizer": self._optimizer.state_dict(),
            "precision": self._fabric.strategy.precision.state_dict(),
        }
        save_checkpoint(folder, weights, state, self._at)
