"""Models in the hands of others: dataclasses, transfer guards, layers in two places, labels of optax."""

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import treegy as tg

X = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
Y = X.sum(axis=1, keepdims=True)
MSE = tg.losses.MeanSquaredError()


class Own(tg.Model):
    scale: float = eqx.field(default=1.0, kw_only=True)

    def __check_init__(self) -> None:
        assert self.scale > 0


def trained(cls: Any = tg.Model) -> Any:
    net = eqx.nn.Linear(4, 1, key=jax.random.key(0))
    return cls(net, loss=MSE, optimizer=optax.adam(0.1)).fit(X, Y, verbose=0)[0]


REPLACE = [dataclasses.replace, *([getattr(copy, "replace")] if hasattr(copy, "replace") else [])]  # noqa: B009


def same(a: Any, b: Any, compare: Callable[..., bool]) -> bool:
    return compare(eqx.filter(a.states, eqx.is_array), eqx.filter(b.states, eqx.is_array), rtol=0, atol=0)


@pytest.mark.standard_promotion
@pytest.mark.parametrize("replace", REPLACE)
@pytest.mark.parametrize("cls", [tg.Model, Own])
def test_replacing_a_dataclass_is_replacing_a_model(replace: Any, cls: Any, tree_allclose: Callable[..., bool]):
    model = trained(cls)
    other = eqx.nn.Linear(4, 1, key=jax.random.key(1))
    for fields in ({}, {"batched": False}, {"optimizer": optax.sgd(0.1)}, {"module": other}, {"metrics": [MSE]}):
        found, right = replace(model, **fields), model.replace(**fields)
        assert type(found) is cls and same(found, right, tree_allclose)
        found, right = (m.fit(X, Y, verbose=0)[0] for m in (found, right))
        assert same(found, right, tree_allclose)
    assert int(replace(model, batched=False).states.step) == 1
    if cls is Own:
        assert replace(model, scale=2.0).scale == 2 and int(replace(model, scale=2.0).states.step) == 1
        with pytest.raises(AssertionError):
            replace(model, scale=-1.0)


@pytest.mark.parametrize("replace", REPLACE)
def test_replacing_what_was_not_trained(replace: Any):
    model = tg.Model(eqx.nn.Linear(4, 1, key=jax.random.key(0)))
    assert not replace(model, batched=False).initialized and replace(model, batched=False).batched is False


@pytest.mark.standard_promotion
def test_a_model_in_another_dataclass():
    @dataclasses.dataclass
    class Holds:
        model: Any

        def __post_init__(self) -> None:
            self.fresh = tg.Model(self.model.module)

    held = dataclasses.replace(Holds(trained()), model=trained())
    assert int(held.model.states.step) == 1 and not held.fresh.initialized


# Transfers


def on_device() -> tuple[Any, Any, Any]:
    model = tg.Model(
        eqx.nn.MLP(4, 1, 8, 1, key=jax.random.key(0)),
        loss=MSE,
        metrics=tg.metrics.MeanAbsoluteError(),
        optimizer=optax.adam(0.1),
    )
    return model, jnp.asarray(X), jnp.asarray(Y)


@pytest.mark.standard_promotion
@pytest.mark.parametrize(
    "run",
    [
        lambda m, x, y: m.train_on_batch(x, y, jnp_ones),
        lambda m, x, y: m.test_on_batch(x, y),
        lambda m, x, y: m.predict_on_batch(x),
        lambda m, x, y: m.init(x, y),
        lambda m, x, y: m.fit(x, y, batch_size=3, epochs=2, verbose=0, validation_data=(x, y)),
        lambda m, x, y: m.fit(x, y, batch_size=3, verbose=0, shuffle=False, validation_split=0.25),
        lambda m, x, y: m.evaluate(x, y, batch_size=3, verbose=0),
        lambda m, x, y: m.predict(x, batch_size=3),
    ],
)
def test_arrays_on_the_device_pass_a_guard(run: Any):
    model, x, y = on_device()
    with jax.transfer_guard("disallow"):
        run(model, x, y)
        run(model, x, y)


jnp_ones = jnp.ones(8)


@pytest.mark.standard_promotion
def test_arrays_on_the_host_are_still_guarded():
    model, x, _ = on_device()
    for run in (lambda: model.train_on_batch(X, Y), lambda: model.train_on_batch(x, Y), lambda: model.predict(X)):
        with jax.transfer_guard("disallow"), pytest.raises(Exception, match="(?i)disallowed host-to-device transfer"):
            run()


# A layer in two places


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


# Labels of `optax.multi_transform`


def optimizers(labels: Any, mask: Any) -> dict[str, Any]:
    sgd = optax.sgd(0.1)
    return {
        "multi_transform": optax.multi_transform({"body": sgd}, labels),
        "masked": optax.masked(sgd, mask),
        "chain": optax.chain(optax.clip(1.0), optax.masked(sgd, mask)),
        "adamw": optax.adamw(1e-3, mask=mask),
        "MultiSteps": optax.MultiSteps(optax.masked(sgd, mask), 2),
    }


def test_labels_and_masks_that_are_a_module_are_refused():
    net = eqx.nn.MLP(4, 1, 8, 1, key=jax.random.key(0))
    labels, mask = (
        jax.tree.map(lambda _, value=value: value, eqx.filter(net, eqx.is_inexact_array)) for value in ("body", True)
    )
    for optimizer in optimizers(labels, mask).values():
        with pytest.raises(TypeError, match=r"`optimizer` has labels or a mask that are .*MLP.*`lambda _: labels`"):
            tg.Model(net, loss=MSE, optimizer=optimizer)
    for optimizer in optimizers(lambda _: labels, lambda _: mask).values():
        tg.Model(net, loss=MSE, optimizer=optimizer)


def test_a_schedule_that_is_a_module_is_no_label():
    class Halving(eqx.Module):
        rate: float

        def __call__(self, step: Any) -> Any:
            return self.rate / (1 + step)

    tg.Model(eqx.nn.Linear(4, 1, key=jax.random.key(0)), optimizer=optax.sgd(Halving(0.1)))
