"""Every error is short, whatever the data: thousands of parts, names of any length, nests of any depth."""

import warnings
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import treegy as tg

pytestmark = pytest.mark.once

X = np.ones((8, 3), "float32")
Y = np.ones((8, 1), "float32")
MSE = tg.losses.MeanSquaredError()


def wide(leaf: Any, n: int = 3000) -> dict[str, Any]:
    return {f"part_{i:05d}": leaf for i in range(n)}


def deep(leaf: Any, depth: int = 6) -> Any:
    for _ in range(depth):
        leaf = {f"branch_{i}": leaf for i in range(4)}
    return leaf


PATHOLOGICAL: dict[str, Callable[[Any], Any]] = {
    "wide": wide,
    "deep": deep,
    "long names": lambda leaf: {"x" * 5000: leaf, "y" * 5000: leaf},
    "a list": lambda leaf: [leaf] * 5000,
    "a tuple": lambda leaf: (leaf,) * 5000,
    "names in a tuple": lambda leaf: ({"z" * 3000: leaf},) * 40,
}


def make_model(**fields: Any) -> Any:
    net = eqx.nn.Linear(3, 1, key=jax.random.key(0))
    given: Any = {"loss": MSE, "optimizer": optax.sgd(0.1), **fields}
    return tg.Model(net, **given)


def said(call: Callable[[], Any]) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(Exception) as info:
            call()
    return "\n".join([str(info.value), *getattr(info.value, "__notes__", ())])


CALLS: dict[str, Callable[[Any], Any]] = {
    "x of fit": lambda nest: make_model().fit(nest(X), Y, verbose=0),
    "y of fit": lambda nest: make_model().fit(X, nest(Y), verbose=0),
    "another length": lambda nest: make_model().fit(nest(X), Y[:3], verbose=0),
    "weights": lambda nest: make_model().fit(X, Y, sample_weight=nest(Y[:, 0]), verbose=0),
    "weights of another length": lambda nest: make_model().fit(X, Y, sample_weight=nest(Y[:3, 0]), verbose=0),
    "class weights": lambda nest: make_model().fit(X, Y, class_weight=nest("heavy"), verbose=0),
    "batches": lambda nest: make_model().fit(iter([(nest(X), Y), (X, nest(Y))]), verbose=0),
    "predict": lambda nest: make_model().predict(nest(X)),
    "on batch": lambda nest: make_model().train_on_batch(nest(X), Y),
    "no arrays": lambda nest: make_model().evaluate(nest("text"), Y, verbose=0),
    "a loss": lambda nest: make_model(loss=nest("mse")),
    "a metric": lambda nest: make_model(metrics=nest(tg.metrics.MeanSquaredError)),
    "what a loss returns": lambda nest: make_model(loss=lambda y_pred: [nest("text")]).evaluate(X, Y, verbose=0),
    "outputs": lambda nest: tg.Model(lambda x: nest(x), loss=MSE).evaluate(X, X, verbose=0),
    "on": lambda nest: tg.Model(lambda x: nest(x), loss=tg.losses.MeanSquaredError(on="q")).evaluate(X, X, verbose=0),
    "what is asked for": lambda nest: tg.inject(lambda absent: None, nest=nest(X), **wide(X, 500)),
    "an annotation": lambda nest: tg.Model(lambda x: nest(x), loss=annotated).evaluate(X, X, verbose=0),
    "states": lambda nest: tg.States(**wide(0)).absent,
    "replaced states": lambda nest: make_model().replace(
        states=make_model().init(X, Y).states.update(net_params=nest(X))
    ),
    "a step's states": lambda nest: Growing(optimizer=optax.sgd(0.1)).init(X, Y).replace(seed=3).train_on_batch(X, Y),
    "a step's logs": lambda nest: Logging().evaluate(X, Y, verbose=0) if Logging.set(nest) else None,
    "trainable": lambda nest: make_model(trainable=nest(True)),
    "an optimizer": lambda nest: make_model(optimizer=nest(optax.sgd(0.1))),
    "callbacks": lambda nest: make_model().fit(X, Y, callbacks=[nest("callback")], verbose=0),
    "validation_data": lambda nest: make_model().fit(X, Y, validation_data=nest(X), verbose=0),
    "a history": lambda nest: named_history()["absent"],
    "check": lambda nest: make_model().check(nest(X), Y),
}


def annotated(y_pred: jax.Array) -> Any:
    return jnp.zeros(3)


def named_history() -> tg.History:
    history = tg.History()
    history.append(0, wide(1.0))
    return history


SAMPLE = ("wide", "long names", "a list")
HOW = [pytest.param(how, marks=[] if how in SAMPLE else pytest.mark.slow) for how in PATHOLOGICAL]


class Growing(tg.Model):
    def test_step(self, x, states, initializing):
        params = jnp.ones(3) if initializing else states.net_params
        grown = {} if initializing else wide(0.0)
        return jnp.sum(params), {}, states.update(net_params=params, **grown)


class Logging(tg.Model):
    nest: Any = None

    @classmethod
    def set(cls, nest: Any) -> bool:
        Logging.logged = nest("text")
        return True

    def test_step(self, x, states):
        return jnp.zeros(()), {"it": [Logging.logged]}, states


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("call", CALLS)
def test_an_error_is_short(call, how):
    text = said(lambda: CALLS[call](PATHOLOGICAL[how]))
    assert 0 < len(text) < 2000
