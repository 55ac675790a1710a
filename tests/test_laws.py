"""The laws that every loss, metric and regularizer keeps.

The classes are found in the package, and their data is chosen by their names and by what they ask for: a new class is
tested by existing, and one that no data is known for fails.
"""

import dataclasses
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import treegy as tg
from treegy._injection._inject import request
from treegy._terms._accumulator import compute_all
from treegy.testing._subject import make_subject

Data = dict[str, Any]

# How many examples there are, the same everywhere: another number would be compiled again.
N = 7

CLASSES = [
    cls
    for package in (tg.losses, tg.metrics, tg.regularizers)
    for _, cls in sorted(vars(package).items())
    if inspect.isclass(cls) and issubclass(cls, tg.Loss | tg.Metric) and not inspect.isabstract(cls)
]


def side(y_pred: Any) -> Any:
    """The group of an example."""
    return (y_pred[:, 0] > 0).astype(jnp.int32)


# Besides the default: what takes another path through the mathematics. One line for each class.
OPTIONS: dict[str, list[Data]] = {
    "AUC": [{"curve": "PR", "multi_label": True}],
    "AveragePrecision": [{"average": "macro"}],
    "BinaryCrossentropy": [{"label_smoothing": 0.1, "from_logits": True}],
    "BinaryFocalCrossentropy": [{"apply_class_balancing": True, "gamma": 0.5}, {"from_logits": True, "gamma": 0.0}],
    "CalibrationError": [{"norm": "max", "num_bins": 3}],
    "CategoricalCrossentropy": [{"label_smoothing": 0.1, "from_logits": True}],
    "CategoricalFocalCrossentropy": [{"from_logits": True, "alpha": [0.1, 0.2, 0.3, 0.4], "gamma": 0.5}],
    "ConcordanceCorrelation": [{"axis": 0}],
    "ConfusionMatrix": [{"normalize": "true"}],
    "F1Score": [{"average": "micro", "threshold": 0.5}],
    "ExplainedVariance": [{"class_aggregation": None}],
    "GlobalL1L2": [{"l1": 0.1, "l2": 0.2}],
    "MeanSquaredError": [{"weight": 2.0, "reduction": "sum"}, {"reduction": "weighted_mean"}],
    "PearsonCorrelation": [{"axis": 0}],
    "Perplexity": [{"ignore_class": 0}],
    "Precision": [{"thresholds": [0.25, 0.5], "class_id": 1}],
    "R2Score": [{"class_aggregation": "variance_weighted_average"}],
    "Recall": [
        {"average": "macro", "zero_division": float("nan"), "top_k": 2},
        {"thresholds": [0.25, 0.5], "class_id": 1},
    ],
    "SigmoidFocal": [{"alpha": 0.25, "gamma": 0.5}],
    "SparseCategoricalCrossentropy": [{"ignore_class": 0, "from_logits": True}],
    "SpearmanCorrelation": [{"capacity": 24}],
    "TripletMargin": [{"norm_degree": 1}],
}

# What a class can't be made without, or not for the data of the laws.
NEEDED: dict[str, Data] = {
    "Bootstrap": {"metric": tg.metrics.MeanSquaredError(), "n": 3},
    "ByGroup": {"metric": tg.metrics.MeanSquaredError(), "by": side, "num_groups": 3},
    "Classwise": {"metric": tg.metrics.PearsonCorrelation(axis=0)},
    "IoU": {"num_classes": 3, "target_class_ids": [0, 2]},
    "MeanIoU": {"num_classes": 3},
    "OneHotIoU": {"num_classes": 4, "target_class_ids": [0, 2]},
    "OneHotMeanIoU": {"num_classes": 4},
    "PrecisionAtRecall": {"recall": 0.5},
    "RecallAtPrecision": {"precision": 0.5},
    "Running": {"metric": tg.metrics.MeanSquaredError(), "k": 2},
    "SensitivityAtSpecificity": {"specificity": 0.5},
    "SparseTopKCategoricalAccuracy": {"k": 2},
    "SpecificityAtSensitivity": {"sensitivity": 0.5},
    "TopKCategoricalAccuracy": {"k": 2},
}

# Data by a pattern in the name of the class; the first that fits. One line for each kind.
KINDS: list[tuple[str, str]] = [
    ("^Sparse|Generalized", "class indices"),
    ("^Categorical|^KLDivergence|^PolyLoss|^Top|^OneHot|^F1|^FBeta", "distributions"),
    ("^Binary|^Precision|^Recall|^SigmoidFocal|Hinge$|^Dice|^Tversky", "binary"),
    ("^Spec|^Sens|tives$|^AUC|^Average|^Roc|^Hamming|^Exact", "binary"),
    ("^Confusion|^Balanced|^Matthews|^Cohen|^Jaccard|^Brier|^Calibration", "class indices"),
    ("^IoU|^MeanIoU", "labels"),
    ("^Accuracy", "labels"),
    ("^Mean$|^Sum$", "values"),
    ("^Poisson", "rates"),
    ("^CTC", "sequences"),
    ("^Circle|^NTXent", "embeddings"),
    ("^Triplet", "triplets"),
    ("^GaussianNLL", "mean and variance"),
    ("Error$|^Huber|^LogCosh|^CosineSimilarity|^Quantile", "numbers"),
    ("^Min$|^Max$|^Std$|^Variance$", "values"),
    ("^Perplexity", "class indices"),
    ("^Bootstrap$|^ByGroup$|^Classwise$|^Running$", "numbers"),
    ("Correlation$|^ExplainedVariance|^R2Score", "numbers"),
]

# What isn't negative by its meaning.
NOT_NEGATIVE = ("rates", "mean and variance")


def make_data(kind: str, n: int, rng: np.random.Generator) -> Data:
    """Values for `n` examples. Those that have gradients are floats."""
    if kind == "parameters":
        return {"parameters": {"weight": _floats(rng, (2, 3)), "bias": _floats(rng, (3,))}}
    if kind == "values":
        return {"y_pred": _floats(rng, (n, 3))}
    if kind == "numbers":
        return {"y_true": _floats(rng, (n, 3)), "y_pred": _floats(rng, (n, 3))}
    if kind == "rates":
        return {"y_true": _integers(rng, 3, (n, 3)), "y_pred": _uniform(rng, (n, 3))}
    if kind == "mean and variance":
        return {"y_true": _floats(rng, (n, 3)), "y_pred": (_floats(rng, (n, 3)), _uniform(rng, (n, 3)))}
    if kind == "labels":
        return {"y_true": _integers(rng, 3, (n,)), "y_pred": _integers(rng, 3, (n,))}
    if kind == "sequences":
        y_true = jnp.stack([1 + _integers(rng, 3, (n,)), _integers(rng, 4, (n,))], axis=1)
        return {"y_true": y_true, "y_pred": _floats(rng, (n, 3, 4))}
    if kind == "embeddings":
        return {"y_true": _integers(rng, 2, (n,)), "y_pred": _floats(rng, (n, 3))}
    if kind == "triplets":
        return {"y_pred": tuple(_floats(rng, (n, 3)) for _ in range(3))}
    if kind == "binary":
        return {"y_true": _integers(rng, 2, (n, 3)), "y_pred": _uniform(rng, (n, 3))}
    labels = _integers(rng, 4, (n,))
    y_true = labels if kind == "class indices" else jnp.asarray(np.eye(4, dtype="float32")[np.asarray(labels)])
    return {"y_true": y_true, "y_pred": _uniform(rng, (n, 4))}


def _floats(rng: np.random.Generator, shape: tuple[int, ...]) -> jax.Array:
    return jnp.asarray(rng.normal(size=shape), jnp.float32)


def _uniform(rng: np.random.Generator, shape: tuple[int, ...]) -> jax.Array:
    return jnp.asarray(rng.uniform(size=shape), jnp.float32)


def _integers(rng: np.random.Generator, high: int, shape: tuple[int, ...]) -> jax.Array:
    return jnp.asarray(rng.integers(0, high, shape), jnp.int32)


def kind_of(cls: type[Any]) -> str:
    if "parameters" in request(cls.call).names:
        return "parameters"
    for pattern, kind in KINDS:
        if re.search(pattern, cls.__name__):
            return kind
    pytest.fail(f"No data is known for {cls.__name__}: add it to KINDS, so that the laws are tested for it.")


def data_for(cls: type[Any], n: int = N) -> Data:
    data = make_data(kind_of(cls), n, np.random.default_rng(0))
    return data | ({"key": jax.random.key(0)} if "key" in request(make(cls, {})._function()).names else {})


def make(cls: type[Any], options: Data) -> Any:
    return cls(**NEEDED.get(cls.__name__, {}), **options)


def fits(options: Data, cls: type[Any]) -> bool:
    """Whether a class has these options: a loss and a metric may have the same name."""
    return set(options) <= {field.name for field in dataclasses.fields(cls)}


def variants() -> list[tuple[Any, Data]]:
    """Every class, with its default and its other options."""
    return [(cls, options) for cls in CLASSES for options in [{}, *OPTIONS.get(cls.__name__, [])] if fits(options, cls)]


def every(test: Any) -> Any:
    """A test of all variants; those with options, on one Python."""
    params = [
        pytest.param(cls, options, id="-".join([cls.__name__, *options]), marks=[pytest.mark.once] if options else [])
        for cls, options in variants()
    ]
    return pytest.mark.parametrize("cls, options", params)(test)


def test_the_package_is_walked():
    names = {cls.__name__ for cls in CLASSES}
    assert {"MeanSquaredError", "Accuracy", "GlobalL2", "Precision", "Mean", "ByGroup"} <= names
    assert set(NEEDED) <= names
    for name, several in OPTIONS.items():
        assert all(any(fits(options, cls) for cls in CLASSES if cls.__name__ == name) for options in several), name


@every
def test_laws(cls: Any, options: Data):
    thing, data = make(cls, options), data_for(cls)
    if not isinstance(thing, tg.Loss):
        tg.testing.check_metric(thing, **data)
        return
    numbers = tuple(c for c in (0.0, 1.0, 1e-30, 1e4, -1e4) if c >= 0 or kind_of(cls) not in NOT_NEGATIVE)
    tg.testing.check_loss(thing, extremes=numbers, **data)


def test_few_are_exempt_and_for_a_reason():
    exempt = {cls.__name__ for cls in CLASSES if cls.exempt_from}
    assert exempt == {"Circle", "NTXent", "Bootstrap", "Running"}
    assert all(reason for cls in CLASSES for reason in cls.exempt_from.values())


@pytest.mark.once
@every
@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_half_precision_is_accumulated_in_float32(cls: Any, options: Data, dtype: Any):
    def halved(a: jax.Array) -> jax.Array:
        return a.astype(dtype) if jnp.issubdtype(a.dtype, jnp.floating) else a

    kind = "loss" if issubclass(cls, tg.Loss) else "metric"
    data = jax.tree.map(halved, data_for(cls))
    it = make_subject(kind, make(cls, options), data)
    weight = jnp.ones(N, dtype) if it.size else None
    accumulators = it.of(it.examples, weight)
    assert {leaf.dtype for leaf in jax.tree.leaves(accumulators)} <= {jnp.dtype("float32"), jnp.dtype("int32")}
    got = compute_all(accumulators)
    # The very same numbers, computed in single precision from the beginning.
    exact = jax.tree.map(lambda a: a.astype(jnp.float32) if a.dtype == dtype else a, data)
    it = make_subject(kind, make(cls, options), exact)
    expected = it.metric_values(it.examples, None if weight is None else weight.astype(jnp.float32))
    assert jax.tree.map(lambda a: a.dtype, got) == jax.tree.map(lambda a: a.dtype, expected)
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def figures_on(place: Any) -> Any:
    """The figures of every loss and metric of examples placed so, all by one program: compiling is what takes time."""
    subjects = {
        f"{cls.__module__}.{cls.__name__}{options}": (
            make_subject("loss" if issubclass(cls, tg.Loss) else "metric", make(cls, options), data_for(cls, 16))
        )
        for cls, options in variants()
    }
    weight = jnp.asarray(np.arange(16) % 3, jnp.float32)

    def figures(examples: Any, weight: Any) -> Any:
        return {who: it.metric_values(examples[who], weight if it.size else None) for who, it in subjects.items()}

    placed = jax.device_put(({who: it.examples for who, it in subjects.items()}, weight), place)
    return jax.jit(figures)(*placed)


def compare_devices() -> None:
    """What is said of test_one_device_is_eight; run in a process that has eight."""
    mesh = jax.sharding.Mesh(np.array(jax.devices()), "batch")
    assert mesh.size == 8
    one = figures_on(jax.devices()[0])
    eight = figures_on(jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("batch")))
    for who in one:
        for (path, figure), other in zip(
            jax.tree_util.tree_leaves_with_path(one[who]), jax.tree.leaves(eight[who]), strict=True
        ):
            assert len(figure.devices()) == 1 and len(other.devices()) == 8
            np.testing.assert_allclose(other, figure, rtol=1e-5, atol=1e-6, err_msg=f"{who} {path}")
    print(len(one), "are the same")


@pytest.mark.once
def test_one_device_is_eight():
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    env = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", "import test_laws; test_laws.compare_devices()"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=env, cwd=Path(__file__).parent)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[0]) == len(variants())


def test_a_class_without_data_fails():
    class Unheard(tg.Loss):
        def call(self, y_pred: Any) -> Any:
            return y_pred

    with pytest.raises(pytest.fail.Exception, match="No data is known for Unheard"):
        kind_of(Unheard)
