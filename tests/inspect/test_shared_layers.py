"""A layer that is in two places of a module is told once."""

from typing import Any

import equinox as eqx
import jax
import numpy as np
import optax
import pytest

import treegy as tg
from helpers import numbers

X = numbers(8, 4)
MSE = tg.losses.MeanSquaredError()


class Tied(eqx.Module):
    layers: list[Any]

    def __call__(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x


def fit(net: Any, **fields: Any) -> Any:
    return tg.Model(net, loss=MSE, optimizer=optax.sgd(0.01), **fields).fit(X, X, verbose=0)[0]


def test_a_layer_in_two_places_is_told_once():
    layer = eqx.nn.Linear(4, 4, key=jax.random.key(0))
    with pytest.warns(
        UserWarning,
        match=r"several places: `\.layers\[1\]\.weight` is `\.layers\[0\]\.weight`, .*`eqx\.nn\.Shared` keeps it one",
    ) as caught:
        model = fit(Tied([layer, layer, layer, layer]))
    [shared] = [str(w.message) for w in caught if "several places" in str(w.message)]
    assert "and 3 more" in shared and len(shared) < 2000
    model.fit(X, X, verbose=0)  # they are different arrays now


def test_what_is_no_layer_in_two_places():
    layer = eqx.nn.Linear(4, 4, key=jax.random.key(0))
    fit(eqx.nn.Sequential([layer, eqx.nn.Lambda(jax.nn.relu), eqx.nn.Lambda(jax.nn.relu)]))
    frozen = lambda net: eqx.tree_at(lambda n: n.layers[0], jax.tree.map(lambda _: False, net), replace=True)  # noqa: E731
    net = Tied([eqx.nn.Linear(4, 4, key=jax.random.key(1)), layer, layer])
    fit(net, trainable=frozen(net))  # what isn't trained stays the same
    shared = eqx.nn.Shared([layer, layer], lambda pair: pair[1], lambda pair: pair[0])

    class Calls(eqx.Module):
        shared: Any

        def __call__(self, x: Any) -> Any:
            a, b = self.shared()
            return b(a(x))

    a, b = fit(Calls(shared)).module.shared()
    np.testing.assert_array_equal(a.weight, b.weight)
