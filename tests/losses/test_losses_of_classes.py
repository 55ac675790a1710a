"""Losses of many labels, noisy labels, ordered classes and rare ones, against their formulas in NumPy float64.

| loss | reference | tolerance |
|---|---|---|
| `AsymmetricLoss` | formula, and the focal loss of Optax | 1e-5 |
| `SymmetricCrossentropy`, `BootstrappedCrossentropy` | formula, of probabilities and of logits | 1e-5 |
| `CORAL`, `CORN` | formula, and probabilities that sum to 1 | 1e-5 |
| `LabelDistributionAwareMargin` | formula | 1e-5 |
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import treegy as tg
from helpers.formulas_of_classes import VALUES

pytestmark = pytest.mark.once

RNG = np.random.default_rng(0)
N, CLASSES = 30, 4
LABELS = RNG.integers(0, CLASSES, N).astype("int32")
LOGITS = (3 * RNG.normal(size=(N, CLASSES))).astype("float32")
PROBABILITIES = RNG.dirichlet(np.ones(CLASSES), N).astype("float32")
SEVERAL = RNG.integers(0, 2, (N, CLASSES)).astype("int32")
COUNTS = [100, 10, 1, 3]
L: Any = tg.losses

# With what they are tried, and on which labels and predictions.
OF_LABELS: list[tuple[Any, Any, Any]] = [
    (L.SymmetricCrossentropy(reduction="none"), LABELS, PROBABILITIES),
    (L.SymmetricCrossentropy(alpha=6, beta=0.1, log_of_zero=-9, from_logits=True, reduction="none"), LABELS, LOGITS),
    (L.BootstrappedCrossentropy(reduction="none"), LABELS, PROBABILITIES),
    (L.BootstrappedCrossentropy(beta=0.8, hard=True, reduction="none"), LABELS, PROBABILITIES),
    (L.BootstrappedCrossentropy(beta=0.5, from_logits=True, reduction="none"), LABELS, LOGITS),
    (L.AsymmetricLoss(reduction="none"), SEVERAL, LOGITS),
    (L.AsymmetricLoss(gamma_positive=0, gamma_negative=0.5, margin=0.2, reduction="none"), SEVERAL, LOGITS),
    (L.LabelDistributionAwareMargin(class_counts=COUNTS, reduction="none"), LABELS, LOGITS),
    (L.LabelDistributionAwareMargin(class_counts=COUNTS, max_margin=1, scale=2, reduction="none"), LABELS, LOGITS),
    (L.CORAL(reduction="none"), LABELS, LOGITS[:, 1:]),
    (L.CORN(reduction="none"), LABELS, LOGITS[:, 1:]),
]


def test_they_equal_their_formulas():
    values = jax.jit(lambda data: [loss(*each) for (loss, *_), each in zip(OF_LABELS, data, strict=True)])(
        [(y, p) for _, y, p in OF_LABELS]
    )
    for (loss, y, p), value in zip(OF_LABELS, values, strict=True):
        expected = VALUES[type(loss).__name__](loss, y, p.astype("float64"))
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6, err_msg=repr(loss))


def test_what_is_no_class_is_nan_and_its_gradient_is_finite_where_it_has_no_weight():
    y, weight = np.where(np.arange(N) < 3, [-1], LABELS).astype("int32"), (np.arange(N) >= 3).astype("float32")
    losses = [(loss, p) for loss, labels, p in OF_LABELS if labels is LABELS]

    @jax.jit
    def of(y: Any, predictions: Any) -> Any:
        values = [loss(y, p) for (loss, _), p in zip(losses, predictions, strict=True)]
        weighted = [
            jax.grad(lambda p, loss=loss: jnp.sum(loss(y, p, sample_weight=weight)))(p)
            for (loss, _), p in zip(losses, predictions, strict=True)
        ]
        return values, weighted

    values, gradients = of(y, [p for _, p in losses])
    for value, gradient in zip(values, gradients, strict=True):
        np.testing.assert_array_equal(np.isnan(value), y < 0)
        assert np.all(np.isfinite(gradient)) and np.all(gradient[:3] == 0)


def test_they_are_others_at_their_ends():
    y, z, p = LABELS, LOGITS, PROBABILITIES
    counts = {"class_counts": COUNTS}
    one_hot = SEVERAL.astype("float32")

    @jax.jit
    def pairs() -> Any:
        crossentropy = L.sparse_categorical_crossentropy(y, p)
        return [
            (L.symmetric_crossentropy(y, p, alpha=1.0, beta=0.0), crossentropy),
            (L.bootstrapped_crossentropy(y, p, beta=1.0), crossentropy),
            (
                L.label_distribution_aware_margin(y, z, **counts, max_margin=0.0, scale=1.0),
                L.sparse_categorical_crossentropy(y, z, from_logits=True),
            ),
            (
                L.asymmetric_loss(SEVERAL, z, gamma_positive=2.0, gamma_negative=2.0, margin=0.0),
                jnp.mean(optax.losses.sigmoid_focal_loss(z, one_hot, gamma=2.0), axis=-1),
            ),
            # All that there is to be above.
            (L.corn(np.full(N, 3), z[:, 1:]), L.coral(np.full(N, 3), z[:, 1:])),
            # What is likely sums to 1.
            (sum(jnp.exp(-L.corn(np.full(N, c), z[:, 1:])) for c in range(4)), np.ones(N)),
        ]

    for one, other in pairs():
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_logits_far_away_have_finite_losses_and_gradients():
    far = np.array([[1e4, -1e4, 0.0, 30.0], [0.0, 0.0, 0.0, 0.0], [-np.inf, 1.0, 2.0, 3.0]], "float32")
    y = np.array([3, 0, 1], "int32")
    losses: list[Any] = [
        lambda z: L.symmetric_crossentropy(y, z, from_logits=True),
        lambda z: L.bootstrapped_crossentropy(y, z, from_logits=True),
        lambda z: L.label_distribution_aware_margin(y, z, class_counts=COUNTS),
        lambda z: L.asymmetric_loss(np.zeros((2, 4), int), z[:2], gamma_negative=0.5, margin=0.5),
        lambda z: L.coral(y[:2], z[:2, 1:]),
        lambda z: L.corn(y[:2], z[:2, 1:]),
    ]
    found = jax.jit(lambda z: [(loss(z), jax.grad(lambda z, loss=loss: jnp.sum(loss(z)))(z)) for loss in losses])(far)
    for value, gradient in found:
        assert np.all(np.isfinite(value)) and np.all(np.isfinite(gradient))


def test_classes_of_thresholds():
    logits = np.array([[-1, -2, -3], [2, -1, -1], [3, 2, -1], [3, 2, 1], [0.5, 0.5, 0.5]], "float32")
    assert L.coral_classes(logits).tolist() == [0, 1, 2, 3, 3]
    # Likely to be above each threshold that is reached, and yet not above two of them.
    assert L.corn_classes(logits).tolist() == [0, 1, 2, 3, 1]


def test_mistakes():
    with pytest.raises(tg.ContractError, match=r"has a logit for each threshold between two classes: shapes like"):
        L.CORAL()(jnp.zeros((2, 3), int), jnp.zeros((2, 3)))
    with pytest.raises(tg.ContractError, match=r"`y_true` f32\[2\] must hold class indices, of an integer dtype"):
        L.CORN()(jnp.zeros(2), jnp.zeros((2, 3)))
    with pytest.raises(tg.ContractError, match=r"`class_counts` is f32\[4\], and one number for each of the classes"):
        L.LabelDistributionAwareMargin(class_counts=COUNTS)(jnp.zeros(2, int), jnp.zeros((2, 3)))
    with pytest.raises(tg.ContractError, match="For one-hot labels there is the categorical loss"):
        L.BootstrappedCrossentropy()(jnp.zeros((2, 3), int), jnp.zeros((2, 3)))
    mistakes: list[tuple[Any, str]] = [
        (lambda: L.AsymmetricLoss(margin=2), "`margin` is a number from 0 to 1, and got 2"),
        (lambda: L.AsymmetricLoss(gamma_negative=-1), "`gamma_negative` is a number from 0 on, and got -1"),
        (lambda: L.SymmetricCrossentropy(log_of_zero=4), "`log_of_zero` is a negative number, and got 4"),
        (lambda: L.BootstrappedCrossentropy(beta=2), "`beta` is a number from 0 to 1, and got 2"),
        (lambda: L.LabelDistributionAwareMargin(class_counts=[1, 0]), "`class_counts` is a list of positive numbers"),
        (lambda: L.LabelDistributionAwareMargin(class_counts=[1, 1], scale=0), "`scale` is a positive number"),
    ]
    for make, message in mistakes:
        with pytest.raises(ValueError, match=message):
            make()
