"""Losses against Keras 3."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import treegy as tg

pytestmark = pytest.mark.once

keras = pytest.importorskip("keras")

N = 7


def data(kind: str, seed: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(2, N, 3)).astype("float32")
    if kind == "numbers":
        numbers[0, 0] = 0  # where a percentage has no divisor, and a vector no direction
        return numbers[0], 2 * numbers[1]
    if kind == "images":
        return tuple(rng.normal(size=(2, N, 3, 2)).astype("float32"))
    if kind == "rates":
        return rng.integers(0, 4, (N, 3)).astype("float32"), np.maximum(numbers[0], 0)
    if kind == "signs":
        return rng.choice([-1.0, 1.0], (N, 3)).astype("float32"), 2 * numbers[0]
    if kind == "binary":
        return rng.integers(0, 2, (N, 3)), rng.choice([0, 1, *rng.uniform(size=20)], (N, 3)).astype("float32")
    if kind == "binary logits":
        return rng.integers(0, 2, (N, 3)), 3 * numbers[0]
    if kind == "sequences":
        labels = np.array([[1, 2, 0, 0], [3, 3, 0, 0], [2, 1, 3, 0], [1, 1, 1, 0], [0] * 4, [1, 2, 3, 1], [2, 0, 0, 0]])
        return labels, rng.normal(size=(N, 6, 4)).astype("float32")
    if kind == "embeddings":
        embeddings = rng.normal(size=(N, 3)).astype("float32")
        # One label that occurs once: such an example has nothing like it.
        return np.array([0, 1, 0, 1, 2, 1, 0]), embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    scores = rng.normal(size=(N, 4)).astype("float32")
    labels = rng.integers(0, 4, N)
    y_true = labels if "indices" in kind else np.eye(4)[labels].astype("float32")
    if "soft" in kind:
        y_true = rng.dirichlet(np.ones(4), N).astype("float32")
    # Not normalised, and with exact zeros.
    return y_true, scores if "logits" in kind else np.maximum(scores, 0) + np.eye(4, dtype="float32")[np.arange(N) % 4]


@pytest.mark.parametrize(
    "name, kind, options",
    [
        ("MeanAbsolutePercentageError", "numbers", {}),
        ("MeanSquaredLogarithmicError", "numbers", {}),
        ("MeanSquaredLogarithmicError", "rates", {}),
        ("LogCosh", "numbers", {}),
        ("CosineSimilarity", "numbers", {}),
        ("CosineSimilarity", "numbers", {"axis": 1}),
        ("Hinge", "signs", {}),
        ("Hinge", "binary logits", {}),
        ("SquaredHinge", "signs", {}),
        ("SquaredHinge", "binary logits", {}),
        ("CategoricalHinge", "one-hot logits", {}),
        ("KLDivergence", "soft", {}),
        ("KLDivergence", "one-hot", {}),
        ("Poisson", "rates", {}),
        ("BinaryFocalCrossentropy", "binary", {}),
        ("BinaryFocalCrossentropy", "binary", {"apply_class_balancing": True, "alpha": 0.4, "gamma": 1.5}),
        ("BinaryFocalCrossentropy", "binary", {"label_smoothing": 0.3}),
        ("BinaryFocalCrossentropy", "binary logits", {"from_logits": True, "label_smoothing": 0.2}),
        ("BinaryFocalCrossentropy", "binary logits", {"from_logits": True, "apply_class_balancing": True}),
        ("CategoricalFocalCrossentropy", "one-hot", {}),
        ("CategoricalFocalCrossentropy", "soft", {"alpha": 0.7, "gamma": 0.5}),
        ("CategoricalFocalCrossentropy", "one-hot", {"alpha": [0.1, 0.2, 0.3, 0.4], "label_smoothing": 0.3}),
        ("CategoricalFocalCrossentropy", "one-hot logits", {"from_logits": True}),
        ("CategoricalGeneralizedCrossEntropy", "indices", {}),
        ("CategoricalGeneralizedCrossEntropy", "indices", {"q": 0.2}),
        ("CTC", "sequences", {}),
        ("Dice", "binary", {"axis": 1}),
        ("Tversky", "binary", {"axis": 1}),
        ("Tversky", "binary", {"axis": 1, "alpha": 2.0, "beta": 2.0}),
        ("Circle", "embeddings", {}),
        ("Circle", "embeddings", {"gamma": 16.0, "margin": 0.25, "remove_diagonal": False}),
    ],
)
def test_equals_keras(name: str, kind: str, options: dict[str, Any], standard_promotion: Any):
    for seed, (reduction, weighted) in enumerate([("sum_over_batch_size", True), ("sum", False), ("none", True)]):
        y_true, y_pred = data(kind, seed)
        weight = np.random.default_rng(9).uniform(0.1, 1, N).astype("float32") if weighted else None
        # In float64: in float32 Keras takes logarithms of 1 - (1 - 1e-7), which is 1.19e-7 there.
        with standard_promotion(), jax.enable_x64(name == "BinaryFocalCrossentropy"):
            dtype = "float64" if name == "BinaryFocalCrossentropy" else "float32"
            reference = getattr(keras.losses, name)(**options, reduction=reduction, dtype=dtype)
            expected = np.asarray(reference(y_true, y_pred.astype(dtype), sample_weight=weight))
        got = getattr(tg.losses, name)(**options, reduction=reduction)(y_true, y_pred, sample_weight=weight)
        assert got.dtype == jnp.float32
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=2e-6)


def test_regions_of_one_example_are_what_keras_sums_over():
    y_true, y_pred = data("binary", 0)
    for i in range(N):
        one = y_true[i : i + 1], y_pred[i : i + 1]
        np.testing.assert_allclose(tg.losses.dice(*map(jnp.asarray, one))[0], keras.losses.dice(*one), rtol=1e-6)
    images = tuple(jnp.asarray(np.abs(image)) for image in data("images", 0))
    got = tg.losses.Dice(axis=[1, 2], reduction="none")(*images)
    np.testing.assert_allclose(got, keras.losses.dice(*map(np.asarray, images), axis=(1, 2)), rtol=1e-5)


def test_cosine_along_another_axis():
    y_true, y_pred = data("images", 0)
    got = tg.losses.CosineSimilarity(axis=-2, reduction="none")(y_true, y_pred)
    np.testing.assert_allclose(got, keras.losses.cosine_similarity(y_true, y_pred, axis=-2), rtol=1e-5, atol=1e-6)


def test_what_keras_decides_by_the_whole_batch_is_decided_label_by_label():
    # A batch that happens to hold no -1 can't be told from labels 0 and 1: Keras looks whether all are 0 or 1.
    y_true, y_pred = jnp.array([0.0, 1.0, -1.0]), jnp.array([0.5, 0.5, 0.5])
    np.testing.assert_allclose(tg.losses.hinge(y_true, y_pred), [1.5, 0.5, 1.5])
    np.testing.assert_allclose(tg.losses.hinge(y_true[:2], y_pred[:2]), [1.5, 0.5])
