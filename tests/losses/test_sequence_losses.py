"""Losses of sequences of ids against sums over all alignments, and their formulas in NumPy float64."""

from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import treegy as tg
from helpers.formulas_of_sequences import log_softmax, transducer, unlikelihood

pytestmark = pytest.mark.once

RNG = np.random.default_rng(0)


@pytest.mark.slow
def test_transducer_of_sequences_of_unequal_lengths():
    labels = jnp.array([[1, 2, 1], [3, 0, 0], [0, 0, 0], [2, 2, 0]])
    logits = jnp.asarray(RNG.normal(size=(4, 5, 4, 4)), jnp.float32)
    lengths = jnp.array([5, 3, 1, 4])
    got = jax.jit(lambda z: tg.losses.rnnt(labels, z, lengths=lengths))(logits)
    every = zip(np.asarray(labels), log_softmax(np.asarray(logits, "float64")), lengths, strict=True)
    np.testing.assert_allclose(got, [transducer([c for c in y if c], z, n) for y, z, n in every], rtol=1e-5)
    # What isn't there has no gradient.
    slopes = jax.grad(lambda z: tg.losses.rnnt(labels, z, lengths=lengths).sum())(logits)
    assert not np.any(slopes[1, 3:]) and not np.any(slopes[1, :, 2:]) and np.all(np.any(slopes[1, :3, :2], axis=-1))


def test_transducer_of_labels_and_lengths_out_of_range():
    labels, logits = jnp.array([[1, 1], [4, 0], [0, 1], [1, 0], [1, 0]]), jnp.zeros((5, 2, 3, 4))
    got = tg.losses.rnnt(labels, logits, lengths=jnp.array([2, 2, 2, 3, 0]))
    assert np.isnan(got).tolist() == [False, True, True, True, True]


@pytest.mark.parametrize("from_logits", [False, True])
def test_unlikelihood_of_what_came_before(from_logits: bool):
    labels = RNG.integers(0, 4, (3, 6)).astype("int32")
    values = RNG.normal(size=(3, 6, 4)) * 9 if from_logits else RNG.random((3, 6, 4))
    it = SimpleNamespace(from_logits=from_logits)
    loss = tg.losses.Unlikelihood(from_logits=from_logits, reduction="none")
    np.testing.assert_allclose(
        loss(labels, values.astype("float32")), unlikelihood(it, labels, values), rtol=1e-5, atol=1e-7
    )
    padded, pad = np.where(np.arange(6) < 4, labels, -1), values.astype("float32")
    masked = tg.losses.Unlikelihood(from_logits=from_logits, ignore_class=-1)(padded, pad)
    shorter = tg.losses.Unlikelihood(from_logits=from_logits)(labels[:, :4], pad[:, :4])
    np.testing.assert_allclose(masked, shorter, rtol=1e-6)


def test_z_loss_leaves_out_what_the_crossentropy_does():
    labels, logits = np.array([[0, 2, -1], [1, -1, -1]], "int32"), RNG.normal(size=(2, 3, 4)).astype("float32")
    want = np.mean(np.logaddexp.reduce(logits.astype("float64"), axis=-1)[labels >= 0] ** 2)
    got = tg.losses.ZLoss(ignore_class=-1)(y_true=labels, y_pred=logits)
    np.testing.assert_allclose(got, want, rtol=1e-6)
    assert jnp.isinf(tg.losses.z_loss(jnp.full((1, 2), 1e30))[0])


@pytest.mark.parametrize("from_logits", [False, True])
def test_smoothed_labels_that_are_class_indices(from_logits: bool):
    """The same as of one-hot labels, without padding."""
    labels = np.array([[0, 3, -1], [2, -1, -1]], "int32")
    values = RNG.normal(size=(2, 3, 4)).astype("float32") if from_logits else RNG.random((2, 3, 4)).astype("float32")
    options: dict[str, Any] = {"from_logits": from_logits, "label_smoothing": 0.2}
    got = tg.losses.SparseCategoricalCrossentropy(ignore_class=-1, **options)(labels, values)
    there = labels >= 0
    want = tg.losses.CategoricalCrossentropy(**options)(np.eye(4, dtype="float32")[labels[there]], values[there])
    np.testing.assert_allclose(got, want, rtol=1e-6)
    outside = tg.losses.sparse_categorical_crossentropy(jnp.array([4]), jnp.asarray(values[0, :1]), **options)
    assert np.isnan(outside[0])


def test_mistakes_with_losses():
    with pytest.raises(tg.ContractError, match="must be sequences of labels, and logits at each step given the first"):
        tg.losses.RNNT()(jnp.ones((2, 3), int), jnp.zeros((2, 4, 3, 5)))
    with pytest.raises(tg.ContractError, match="must hold labels, of an integer dtype"):
        tg.losses.rnnt(jnp.ones((2, 2)), jnp.zeros((2, 4, 3, 5)))
    with pytest.raises(tg.ContractError, match="one integer for each of the 2 sequences is expected"):
        tg.losses.rnnt(jnp.ones((2, 2), int), jnp.zeros((2, 4, 3, 5)), lengths=jnp.ones(3, int))
    with pytest.raises(tg.ContractError, match=r"shape like \(batch, steps, ids\) are expected"):
        tg.losses.Unlikelihood()(jnp.ones(2, int), jnp.ones((2, 3)))
    with pytest.raises(tg.ContractError, match=r"logits of a shape like \(batch, classes\) are expected"):
        tg.losses.z_loss(jnp.ones(2))
    with pytest.raises(tg.ContractError, match="`y_true` is nothing, and with `ignore_class` a label for each"):
        tg.losses.ZLoss(ignore_class=0)(y_pred=jnp.ones((2, 3)))
    with pytest.raises(ValueError, match="`label_smoothing` is a number from 0 to 1, and got 2"):
        tg.losses.SparseCategoricalCrossentropy(label_smoothing=2)
