"""Losses of rankings against their formulas query by query, against Optax, and what is refused."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import treegy as tg
from helpers.formulas_of_rankings import VALUES

RNG = np.random.default_rng(0)
QUERIES, DOCUMENTS = 12, 6
RELEVANCE = RNG.integers(-1, 4, (QUERIES, DOCUMENTS)).astype("int32")
RELEVANCE[:3] = [[-1], [0], [2]]  # no documents, none that are relevant, all as relevant
SCORES = RNG.normal(size=(QUERIES, DOCUMENTS)).astype("float32")

LOSSES = [
    tg.losses.PairwiseLogistic(),
    tg.losses.PairwiseHinge(margin=0.3),
    tg.losses.LambdaRank(),
    tg.losses.LambdaRank(k=2, gain="linear"),
    tg.losses.ApproxNDCG(),
    tg.losses.ApproxNDCG(temperature=1.0, gain="linear"),
    tg.losses.ListNet(),
    tg.losses.ListNet(target="share"),
]


@pytest.mark.once
@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_queries_of_all_kinds(loss: Any):
    expected = VALUES[type(loss).__name__](loss, RELEVANCE, SCORES.astype("float64"))
    assert abs(float(loss(jnp.asarray(RELEVANCE), jnp.asarray(SCORES))) - expected) < 1e-6


@pytest.mark.once
@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_what_is_not_there_changes_nothing(loss: Any):
    """Neither the value nor the gradients, whatever its score is."""
    relevance = jnp.asarray(RELEVANCE)
    of = jax.jit(jax.value_and_grad(lambda scores: loss(relevance, scores)))
    value, gradient = of(jnp.asarray(SCORES))
    for score in (jnp.inf, -jnp.inf, jnp.nan):
        other, same = of(jnp.where(relevance < 0, score, SCORES))
        assert float(other) == float(value)
        np.testing.assert_array_equal(same, gradient)
    np.testing.assert_array_equal(np.asarray(gradient)[RELEVANCE < 0], 0)


def test_choices_of_several_axes_and_one_negative_each():
    positive, negatives = jnp.asarray(SCORES[:, :2]), jnp.asarray(RNG.normal(size=(QUERIES, 2, 5)), jnp.float32)
    for name, loss in {"BPR": tg.losses.bpr, "SampledSoftmax": tg.losses.sampled_softmax}.items():
        expected = VALUES[name](None, None, (np.ravel(positive), np.reshape(negatives, (-1, 5))))
        np.testing.assert_allclose(loss((positive, negatives)).reshape(-1), expected, rtol=1e-5)
        np.testing.assert_allclose(
            loss((positive, negatives[..., 0])), loss((positive, negatives[..., :1])), err_msg="of the same shape"
        )


def test_sampled_softmax_of_all_is_the_crossentropy():
    logits, labels = RNG.normal(size=(8, 5)).astype("float32"), RNG.integers(0, 5, 8)
    rest = np.stack([np.delete(row, label) for row, label in zip(logits, labels, strict=True)])
    found = tg.losses.SampledSoftmax()((logits[np.arange(8), labels], rest))
    expected = optax.losses.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
    assert abs(float(found) - float(expected)) < 1e-6


def test_sampled_softmax_is_corrected_and_leaves_out_what_is_infinite():
    positive, negatives = jnp.array([0.5]), jnp.array([[1.0, -2.0]])
    log_q = jnp.log(jnp.array([[0.5, 0.25]]))
    loss = tg.losses.SampledSoftmax()
    found = loss((positive, negatives, jnp.zeros(1), log_q))
    expected = np.log1p(2 * np.exp(0.5) + 4 * np.exp(-2.5))
    assert abs(float(found) - expected) < 1e-6
    without = loss((positive, jnp.array([[1.0, -jnp.inf]])))
    assert abs(float(without) - np.log1p(np.exp(0.5))) < 1e-6
    assert np.all(np.isfinite(jax.grad(lambda n: loss((positive, n)))(jnp.array([[1.0, -jnp.inf]]))))


@pytest.mark.parametrize(
    "loss, y_pred, said",
    [
        (tg.losses.BPR(), jnp.ones(3), "a tuple (positive, negatives) is expected"),
        (tg.losses.BPR(), (jnp.ones(3), jnp.ones((2, 4))), "shapes like (batch,) and (batch, negatives)"),
        (tg.losses.BPR(), (jnp.ones(3), jnp.ones((3, 4, 5))), "more than one axis more"),
        (tg.losses.BPR(), (jnp.ones(3),) * 4, "a tuple (positive, negatives) is expected"),
        (tg.losses.SampledSoftmax(), (jnp.ones(3),) * 3, "log_q_positive"),
        (tg.losses.SampledSoftmax(), (jnp.ones(3), jnp.ones((3, 2)), jnp.ones(3), jnp.ones(3)), "y_pred[3]"),
    ],
)
def test_choices_of_wrong_shapes(loss: Any, y_pred: Any, said: str):
    with pytest.raises(tg.ContractError) as caught:
        loss(y_pred)
    assert said in str(caught.value)


def test_wrong_options():
    for make in (tg.losses.LambdaRank, tg.losses.ApproxNDCG):
        with pytest.raises(ValueError, match="`gain` is one of 'linear' and 'exponential'"):
            make(gain="squared")
    with pytest.raises(ValueError, match="`target` is one of 'softmax' and 'share'"):
        tg.losses.ListNet(target="max")
    with pytest.raises(ValueError, match="temperature"):
        tg.losses.ApproxNDCG(temperature=0)
    with pytest.raises(tg.ContractError, match="a relevance and a score"):
        tg.losses.ListNet()(jnp.ones(3), jnp.ones(3))
