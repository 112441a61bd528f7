"""How much of each property a small supervised model can read from a frozen slot."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped, unused-ignore]

from nsi_cli.evaluation.metrics.metric import Metric
from nsi_cli.evaluation.metrics.probes.objects import Objects, ObjectSample
from nsi_cli.evaluation.metrics.probes.scores import categorical_scores, continuous_scores
from nsi_cli.evaluation.predictions import Floats, Predictions
from nsi_cli.schema import Categorical, Property, Schema

TRAINING_OBJECTS = 5000
"""Maximum number of training objects of the probes; a seeded sample if there are more."""

PROBES = ("linear", "mlp")
"""A linear probe, and a multilayer perceptron with one hidden layer of `HIDDEN` units."""

HIDDEN = 64
MLP_ITERATIONS = 60
LINEAR_ITERATIONS = 300

L2 = 10.0
"""The weight of the L2 penalty of all probes, relative to the sum of the loss over the objects."""


class Probes(Metric):
    """Trains probes on frozen slots of the train split and tests them on the evaluated split.

    Slots are matched with objects by the true masks. For each property, each kind of vectors
    (`ObjectSample`) and each of the `PROBES`, the result has ``accuracy`` and ``macro_f1`` for a
    categorical property, and ``r2`` and ``mean_error`` for a continuous one. ``features`` is the
    ceiling, ``random_slots`` the floor. ``train`` returns the predictions for scenes of the train
    split. A property is left out if it has no known value in one of the two splits, or only one
    value among the training objects. Vectors that are missing or not finite are left out too.
    """

    def __init__(
        self,
        schema: Schema,
        train: Callable[[], Iterable[Predictions]] | None,
        *,
        seed: int = 0,
    ) -> None:
        self._schema, self._train, self._seed = schema, train, seed
        self._tested = ObjectSample(seed)

    def update(self, predictions: Predictions) -> None:
        """Add the objects of a batch; a batch without true masks adds nothing."""
        if self._train is not None:
            self._tested.add(predictions)

    def compute(self) -> dict[str, Any]:
        """The scores by property, vectors and probe; empty without objects in both splits."""
        tested = self._tested.objects()
        trained = None if tested is None else self._training_objects()
        if tested is None or trained is None:
            return {"probes": {}}
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore")  # the MLP is meant to stop at the limit
            measures = {
                item.name: self._measure(item, trained, tested) for item in self._schema.properties
            }
        return {"probes": {name: value for name, value in measures.items() if value is not None}}

    def _training_objects(self) -> Objects | None:
        sample = ObjectSample(self._seed, TRAINING_OBJECTS)
        for predictions in () if self._train is None else self._train():
            sample.add(predictions)
        return sample.objects()

    def _measure(self, item: Property, trained: Objects, tested: Objects) -> dict[str, Any] | None:
        columns = self._schema.columns[item.name]
        trained, tested = (_with_value(item, objects, columns) for objects in (trained, tested))
        target, true = trained.primitives[:, columns], tested.primitives[:, columns]
        if not len(tested) or len(np.unique(target, axis=0)) < 2:
            return None
        measure: dict[str, Any] = {}
        for kind, vectors in trained.vectors.items():
            if not (np.isfinite(vectors).all() and np.isfinite(tested.vectors[kind]).all()):
                continue
            measure[kind] = {}
            for probe in PROBES:
                fitted = _fitted(item, probe, vectors, target, self._seed)
                predicted = fitted.predict(tested.vectors[kind])
                measure[kind][probe] = _scores(item, true, predicted, tested, self._seed)
        return {**measure, "objects": len(tested), "trained_on": len(trained)} if measure else None


def _with_value(item: Property, objects: Objects, columns: slice) -> Objects:
    """The objects whose value of a property is known."""
    values = objects.primitives[:, columns]
    known = values[:, 0] >= 0 if isinstance(item, Categorical) else ~np.isnan(values).any(1)
    return objects.take(np.flatnonzero(known))


def _fitted(item: Property, probe: str, vectors: Floats, target: Floats, seed: int) -> Any:
    """A probe fitted to vectors (N, D), standardised, and values (N, columns) of a property.

    The values of a continuous property are standardised too, and fitted together.
    """
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    categorical = isinstance(item, Categorical)
    model = make_pipeline(StandardScaler(), _estimator(probe, categorical, seed))
    if categorical:
        return model.fit(vectors, target[:, 0].astype(np.int64))
    return TransformedTargetRegressor(model, transformer=StandardScaler()).fit(vectors, target)


def _estimator(probe: str, categorical: bool, seed: int) -> Any:
    """The scikit-learn estimator of a probe.

    L-BFGS fits the logistic regression and the MLPs. It has no learning rate or batch size and
    needs no validation set, for which a rare value may have too few objects.
    """
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    if probe == "mlp":
        perceptron = MLPClassifier if categorical else MLPRegressor
        return perceptron(
            hidden_layer_sizes=(HIDDEN,),
            solver="lbfgs",
            alpha=L2,
            max_iter=MLP_ITERATIONS,
            random_state=seed,
        )
    return LogisticRegression(C=1 / L2, max_iter=LINEAR_ITERATIONS) if categorical else Ridge(L2)


def _scores(
    item: Property,
    true: Floats,
    predicted: npt.NDArray[Any],
    tested: Objects,
    seed: int,
) -> dict[str, Any]:
    """The scores of predicted values of a property, (N,) or (N, columns); ``true`` (N, columns)."""
    if isinstance(item, Categorical):
        ids = true[:, 0].astype(np.int64)
        return {**categorical_scores(ids, predicted, tested.scene, seed=seed)}
    return {
        **continuous_scores(
            true.astype(np.float64),
            predicted.reshape(true.shape).astype(np.float64),
            tested.scene,
            seed=seed,
        )
    }
