"""Losses and metrics of survival against sums over pairs and times in NumPy float64.

| class | reference | tolerance |
|---|---|---|
| `ConcordanceIndex` | all pairs, one by one | 1e-6 |
| `Cox` | the partial likelihood by times, with ties and weights | 1e-5 |
| `DiscreteHazards` | the product over intervals | 1e-5 |
"""

from typing import Any

import jax
import numpy as np
import pytest

import treegy as tg
from helpers.formulas_of_survival import concordance, cox, discrete_hazards

pytestmark = pytest.mark.once

RNG = np.random.default_rng(0)
N = 40
# Many of the same time and the same risk.
TIMES = np.stack([RNG.integers(1, 9, N), RNG.integers(0, 2, N)], axis=1).astype("float32")
RISKS = np.round(RNG.normal(size=N), 1).astype("float32")
WEIGHTS = RNG.integers(0, 4, N).astype("float32")
LOSSES = [tg.losses.Cox(ties=ties, reduction="weighted_mean") for ties in ("efron", "breslow")]
INDEX = tg.metrics.ConcordanceIndex(capacity=64)


@jax.jit
def values(y: Any, z: Any, weight: Any) -> Any:
    one, other = (INDEX(y[cut], z[cut], sample_weight=weight[cut]) for cut in (slice(11), slice(11, None)))
    return [one.merge(other).compute(), *(loss(y, z, sample_weight=weight) for loss in LOSSES)]


@pytest.mark.parametrize("weight", [np.ones(N, "float32"), WEIGHTS], ids=["equal", "weighted"])
def test_equal_their_definitions(weight: Any):
    index, *losses = values(TIMES, RISKS, weight)
    np.testing.assert_allclose(index, concordance(INDEX, TIMES, RISKS, weight), rtol=1e-6)
    for loss, got in zip(LOSSES, losses, strict=True):
        total, count = cox(loss, TIMES.astype("float64"), RISKS.astype("float64"), weight.astype("float64"))
        np.testing.assert_allclose(got, total / count, rtol=1e-5)


def test_nothing_that_happened():
    censored = TIMES * [1, 0]
    assert [float(value) for value in values(censored, RISKS, WEIGHTS)] == [0, 0, 0]
    assert [float(value) for value in values(TIMES, RISKS, 0 * WEIGHTS)] == [0, 0, 0]


def test_what_is_neither_0_nor_1_shows():
    unknown = TIMES.copy()
    unknown[3, 1] = 2
    assert np.all(np.isnan(values(unknown, RISKS, np.ones(N, "float32"))))
    assert np.all(np.isfinite(values(unknown, RISKS, np.ones(N, "float32") * (np.arange(N) != 3))))


def test_more_than_there_is_room_for():
    small = tg.metrics.ConcordanceIndex(capacity=30)
    halves = [small(TIMES[cut], RISKS[cut]) for cut in (slice(20), slice(20, None))]
    assert np.isnan(float(halves[0].merge(halves[1])))
    with pytest.raises(tg.ContractError, match="40 examples are more than there is room for: pass `capacity=`"):
        small(TIMES, RISKS)


def test_discrete_hazards():
    y = np.stack([RNG.integers(0, 5, N), RNG.integers(0, 2, N)], axis=1).astype("int32")
    logits = RNG.normal(size=(N, 5)).astype("float32") * 5
    loss = tg.losses.DiscreteHazards(reduction="none")
    np.testing.assert_allclose(loss(y, logits), discrete_hazards(loss, y, logits.astype("float64")), rtol=1e-5)
    outside = loss(np.array([[5, 1], [-1, 0], [4, 1], [1, 2]] * 10), logits)
    assert np.isnan(outside[:4]).tolist() == [True, True, False, True]


def test_mistakes():
    with pytest.raises(tg.ContractError, match=r"must hold two columns, \(batch, 2\): the time, and 1 if it happened"):
        INDEX(TIMES[:, 0], RISKS)
    with pytest.raises(tg.ContractError, match=r"the logarithm of a hazard for each example, \(batch,\). Pass `y_pred"):
        LOSSES[0](TIMES, RISKS[:, None])
    with pytest.raises(tg.ContractError, match="intervals of an integer dtype are expected. `jnp.digitize` makes them"):
        tg.losses.DiscreteHazards()(TIMES, np.zeros((N, 3), "float32"))
    with pytest.raises(ValueError, match='`ties` is "efron" or "breslow", and got \'exact\''):
        tg.losses.Cox(ties="exact")
