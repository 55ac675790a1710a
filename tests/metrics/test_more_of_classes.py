"""Cramér's V against scipy, and the crossentropy of rare classes against its formula."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats.contingency import association

import treegy as tg
from helpers.formulas_of_classes import cramers_v, logit_adjusted

pytestmark = pytest.mark.once

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 3, 40).astype("int32")
SCORES = (np.eye(4)[np.where(RNG.random(40) < 0.6, LABELS, RNG.integers(0, 3, 40))]).astype("float32")


@pytest.mark.parametrize("bias_correction", [False, True])
def test_cramers_v(bias_correction: bool):
    """Of four classes of which one is nowhere."""
    metric = tg.metrics.CramersV(bias_correction=bias_correction)
    value = float(metric(LABELS[:9], SCORES[:9]).merge(metric(LABELS[9:], SCORES[9:])))
    np.testing.assert_allclose(value, cramers_v(metric, LABELS, SCORES), rtol=1e-5)
    if not bias_correction:
        table = np.zeros((3, 3), int)
        np.add.at(table, (LABELS, SCORES.argmax(-1)), 1)
        np.testing.assert_allclose(value, association(table, method="cramer"), rtol=1e-5)
    assert float(metric(np.zeros(40, "int32"), SCORES)) == 0


@pytest.mark.parametrize("tau", [0.0, 1.0, 0.5])
def test_rare_classes(tau: float):
    logits = RNG.normal(size=(40, 4)).astype("float32")
    loss = tg.losses.LogitAdjusted(class_counts=[100, 10, 1, 3], tau=tau, reduction="none")
    np.testing.assert_allclose(loss(LABELS, logits), logit_adjusted(loss, LABELS, logits), rtol=1e-5)
    padded: Any = np.where(np.arange(40) < 30, LABELS, -1)
    some = tg.losses.LogitAdjusted(class_counts=[100, 10, 1, 3], tau=tau, ignore_class=-1)(padded, logits)
    np.testing.assert_allclose(some, loss(LABELS, logits)[:30].mean(), rtol=1e-5)


def test_mistakes():
    with pytest.raises(ValueError, match="`class_counts` is a list of positive numbers, and got 0"):
        tg.losses.LogitAdjusted(class_counts=[1, 0])
    with pytest.raises(ValueError, match="`tau` is a number from 0 on, and got -1"):
        tg.losses.LogitAdjusted(class_counts=[1, 1], tau=-1)
    with pytest.raises(tg.ContractError, match=r"`class_counts` is f32\[2\], and one number for each of the classes"):
        tg.losses.LogitAdjusted(class_counts=[1, 1])(jnp.zeros(2, int), jnp.zeros((2, 3)))
