"""Regularizers against formulas in NumPy float64."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import treegy as tg


@pytest.fixture
def mlp(getkey: Any) -> eqx.nn.MLP:
    return eqx.nn.MLP(3, 2, 4, 1, key=getkey())


def total(fn: Any, leaves: Any) -> float:
    return sum(float(np.sum(fn(np.asarray(leaf, np.float64)))) for leaf in leaves)


def test_sums_over_all_parameters(mlp: eqx.nn.MLP):
    leaves = jax.tree.leaves(eqx.filter(mlp, eqx.is_inexact_array))
    l1, l2 = total(np.abs, leaves), total(np.square, leaves)
    # The whole module, of which activations don't count, or its trainable part.
    for parameters in (mlp, eqx.filter(mlp, eqx.is_inexact_array)):
        np.testing.assert_allclose(tg.regularizers.GlobalL1()(parameters), 0.01 * l1, rtol=1e-6)
        np.testing.assert_allclose(tg.regularizers.GlobalL2(1e-4)(parameters=parameters), 1e-4 * l2, rtol=1e-6)
        got = tg.regularizers.GlobalL1L2(0.1, 0.2)(parameters)
        np.testing.assert_allclose(got, 0.1 * l1 + 0.2 * l2, rtol=1e-6)
    assert tg.regularizers.GlobalL1L2()(mlp) == 0
    assert tg.regularizers.GlobalL2(1e-4, weight=2.0)(mlp) == 2 * tg.regularizers.GlobalL2(1e-4)(mlp)


@pytest.mark.parametrize("cls", [tg.regularizers.GlobalL1, tg.regularizers.GlobalL2])
def test_where(cls: Any, mlp: eqx.nn.MLP):
    weights = [layer.weight for layer in mlp.layers]
    expected = cls(1.0)(weights)
    np.testing.assert_allclose(cls(1.0, where=lambda p: p.ndim > 1)(mlp), expected, rtol=1e-6)
    # Booleans, as `eqx.partition` takes them.
    where = jax.tree.map(lambda _: False, mlp)
    where = eqx.tree_at(lambda m: [layer.weight for layer in m.layers], where, [True, True])
    np.testing.assert_allclose(cls(1.0, where=where)(mlp), expected, rtol=1e-6)
    trainable = eqx.filter(mlp, eqx.is_inexact_array)
    np.testing.assert_allclose(cls(1.0, where=where)(trainable), expected, rtol=1e-6)
    prefix = {"a": True, "b": False}
    assert cls(1.0, where=prefix)({"a": (jnp.ones(2), jnp.ones(3)), "b": jnp.ones(7)}) == 5
    with pytest.raises(tg.ContractError, match="`where` selects none of the 4 parameters"):
        cls(where=lambda p: p.ndim > 2)(mlp)
    assert cls()({}) == 0


def test_half_precision_is_summed_in_float32():
    parameters = {"a": jnp.full(3, 300.0, jnp.float16), "b": jnp.ones(2, jnp.bfloat16), "c": jnp.arange(3)}
    got = tg.regularizers.GlobalL2(1.0)(parameters)
    assert got.dtype == jnp.float32 and got == 270002


def test_complex_parameters_count_by_their_modulus():
    parameters = jnp.array([3 + 4j, 0])
    assert tg.regularizers.GlobalL1(1.0)(parameters) == 5
    assert tg.regularizers.GlobalL2(1.0)(parameters) == 25
    for cls in (tg.regularizers.GlobalL1, tg.regularizers.GlobalL2):
        assert jnp.all(jnp.isfinite(jax.grad(lambda p, cls=cls: cls(1.0)(p))(parameters)))


def test_gradients_are_twice_the_parameters_and_their_signs():
    parameters = jnp.array([2.0, 0.0, -3.0])
    np.testing.assert_allclose(jax.grad(lambda p: tg.regularizers.global_l2(p, 0.5))(parameters), parameters)
    np.testing.assert_allclose(jax.grad(lambda p: tg.regularizers.global_l1(p, 0.5))(parameters), [0.5, 0, -0.5])


def test_not_weighted_by_examples():
    loss = tg.regularizers.GlobalL2(1.0)
    assert loss(jnp.ones(3), sample_weight=jnp.array([0.0, 5.0])) == 3
    # A leading axis of parameters isn't a batch.
    assert tg.regularizers.GlobalL2(1.0, reduction="sum")(jnp.ones(3)) == 3


def test_factors_are_not_negative():
    for make, name in (
        (lambda: tg.regularizers.GlobalL1(-1.0), "l"),
        (lambda: tg.regularizers.GlobalL2(float("inf")), "l"),
        (lambda: tg.regularizers.GlobalL1L2(l1=-0.1), "l1"),
        (lambda: tg.regularizers.GlobalL1L2(l2=float("nan")), "l2"),
    ):
        with pytest.raises(ValueError, match=f"`{name}` is a finite number that isn't negative"):
            make()


def test_factors_can_be_traced():
    got = jax.vmap(lambda l: tg.regularizers.GlobalL2(l)(jnp.ones(3)))(jnp.array([1.0, 2.0]))  # noqa: E741
    np.testing.assert_allclose(got, [3, 6])
