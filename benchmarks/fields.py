"""The metrics of a field: an evaluation with all of them beside the predictions alone, of the same small CNN."""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import numpy as np
from bounds import BOUNDS
from timing import Result, measure

import treegy as tg

m = tg.metrics
_TABLE = {"num_classes": 10, "num_clusters": 10}


@dataclasses.dataclass(frozen=True)
class Field:
    name: str
    title: str
    metrics: Callable[[], list[tg.Metric]]
    labels: Callable[[np.random.Generator, int], np.ndarray]
    """Makes `y` for so many examples; the network predicts ten numbers for each."""


def _classes(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.integers(0, 10, n).astype("int32")


def _relevances(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.integers(0, 4, (n, 10)).astype("int32")


def _numbers(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.normal(size=(n, 10)).astype("float32")


def _chosen(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.integers(0, 2, (n, 10)).astype("int32")


FIELDS = [
    Field(
        "field-classes",
        "all metrics of a confusion matrix, accuracies, calibration",
        lambda: [
            m.SparseCategoricalAccuracy(),
            m.SparseTopKCategoricalAccuracy(k=3),
            m.ConfusionMatrix(),
            m.BalancedAccuracy(),
            m.MatthewsCorrelation(),
            m.CohenKappa(),
            m.Jaccard(),
            m.F1Score(average="macro"),
            m.BrierScore(),
            m.CalibrationError(),
            m.Perplexity(),
        ],
        _classes,
    ),
    Field(
        "field-thresholds",
        "all metrics over thresholds, of ten labels",
        lambda: [
            m.AUC(multi_label=True),
            m.AveragePrecision(),
            m.PrecisionAtRecall(0.5),
            m.RecallAtPrecision(0.5),
            m.SensitivityAtSpecificity(0.5),
            m.SpecificityAtSensitivity(0.5),
            m.Precision(),
            m.Recall(),
            m.HammingLoss(),
            m.ExactMatch(),
        ],
        _chosen,
    ),
    Field(
        "field-rankings",
        "all metrics of rankings, of ten documents",
        lambda: [
            m.NDCG(k=5),
            m.MeanReciprocalRank(),
            m.MeanAveragePrecision(k=5),
            m.HitRate(k=5),
            m.PrecisionAtK(k=5),
            m.RecallAtK(k=5),
            m.RPrecision(),
            m.FallOut(k=5),
            m.QueryAUC(),
        ],
        _relevances,
    ),
    Field(
        "field-numbers",
        "all metrics of regression",
        lambda: [
            m.MeanSquaredError(),
            m.RootMeanSquaredError(),
            m.MeanAbsoluteError(),
            m.MeanAbsolutePercentageError(),
            m.LogCoshError(),
            m.CosineSimilarity(),
            m.R2Score(),
            m.ExplainedVariance(),
            m.PearsonCorrelation(axis=0),
            m.ConcordanceCorrelation(axis=0),
        ],
        _numbers,
    ),
    Field(
        "field-clusters",
        "all metrics of clusters",
        lambda: [
            m.RandScore(**_TABLE),
            m.AdjustedRandScore(**_TABLE),
            m.FowlkesMallows(**_TABLE),
            m.MutualInformation(**_TABLE),
            m.NormalizedMutualInformation(**_TABLE),
            m.AdjustedMutualInformation(**_TABLE),
            m.Homogeneity(**_TABLE),
            m.Completeness(**_TABLE),
            m.VMeasure(**_TABLE),
            m.ClusterAccuracy(**_TABLE),
        ],
        _classes,
    ),
]


class CNN(eqx.Module):
    """That of `examples/digits.py`, of images of 8 x 8. It predicts probabilities."""

    conv1: eqx.nn.Conv2d
    conv2: eqx.nn.Conv2d
    linear: eqx.nn.Linear

    def __init__(self, key: Any):
        key1, key2, key3 = jax.random.split(key, 3)
        self.conv1 = eqx.nn.Conv2d(1, 16, kernel_size=3, padding=1, key=key1)
        self.conv2 = eqx.nn.Conv2d(16, 32, kernel_size=3, padding=1, stride=2, key=key2)
        self.linear = eqx.nn.Linear(32 * 4 * 4, 10, key=key3)

    def __call__(self, image: Any) -> Any:
        hidden = jax.nn.relu(self.conv1(image[None]))
        return jax.nn.softmax(self.linear(jax.nn.relu(self.conv2(hidden)).reshape(-1)))


class _Run:
    """What `measure` times."""

    def __init__(self, run: Callable[[], Any]):
        self.run = run

    def reset(self) -> None: ...


def measured(field: Field, rounds: int, quick: bool) -> Result:
    rng = np.random.default_rng(0)
    n = 256 if quick else 16_384
    x, y = rng.normal(size=(n, 8, 8)).astype("float32"), field.labels(rng, n)
    model = tg.Model(CNN(jax.random.key(0)), metrics=field.metrics())

    def evaluate() -> Any:
        return model.evaluate(x, y, batch_size=64, verbose=0)

    def predict() -> Any:
        return np.asarray(model.predict(x, batch_size=64))

    found = evaluate()
    if not all(np.all(np.isfinite(value)) for value in found.values()):
        raise ValueError(f"{field.name}: not finite: {found}")
    predict()
    result = Result(field.name, field.title, steps=n // 64, bounds=BOUNDS[field.name])
    result.values = measure({"treegy": _Run(evaluate), "hand-written": _Run(predict)}, rounds)
    return result
