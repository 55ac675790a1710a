"""Steps that are not finite are explained: what was first, and what it spoiled."""

import inspect
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import treegy as tg

X = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
Y = np.random.default_rng(1).normal(size=(8, 2)).astype(np.float32)
SGD = optax.sgd(0.1)


def make_model(loss: Any, module: Any = None, **fields: Any) -> tg.Model[Any]:
    net = eqx.nn.Linear(3, 2, key=jax.random.key(0)) if module is None else module
    return tg.Model(net, loss=loss, optimizer=SGD, **fields)


def line_of(fn: Any, text: str) -> str:
    lines, start = inspect.getsourcelines(fn)
    return f"test_debug.py:{start + next(i for i, line in enumerate(lines) if text in line)}"


def square_root(y_true: Any, y_pred: Any) -> Any:
    error = jnp.sum((y_true - y_pred) ** 2, axis=-1)
    return jnp.sqrt(error - 1e6)


def distance(y_pred: Any) -> Any:
    apart = y_pred - jax.lax.stop_gradient(y_pred)
    return jnp.sqrt(jnp.sum(apart**2, axis=-1))  # 0, and its gradient is none


def masked(y_pred: Any) -> Any:
    good = jnp.where(y_pred > 0, y_pred, 1.0)
    bad = jnp.log(-jnp.abs(y_pred))  # NaN, and never used
    return jnp.sum(jnp.where(jnp.isfinite(good), jax.lax.stop_gradient(good), bad) + y_pred, axis=-1)


def test_the_loss():
    text = tg.debug.explain_nan(make_model(square_root), X, Y)
    assert text is not None
    assert text.startswith("The first that is not finite: `sqrt` in ")
    assert line_of(square_root, "jnp.sqrt") in text and "(square_root)" in text
    assert "makes: f32[8]: 8 of 8 are nan" in text
    assert "spoiled: the log `square_root_loss`, nan" in text
    assert "spoiled: states.net_params.weight f32[2,3]: 6 of 6 are nan" in text


def test_a_gradient():
    """The loss is finite: only the gradient isn't."""
    text = tg.debug.explain_nan(make_model(distance), X)
    assert text is not None
    assert ", in the gradient" in text and line_of(distance, "jnp.sqrt") in text
    assert "spoiled: the log" not in text
    assert "spoiled: states.net_params.bias f32[2]: 2 of 2 are nan" in text


def test_what_is_never_used_is_nobodys_fault():
    assert tg.debug.explain_nan(make_model(masked), X) is None
    assert tg.debug.explain_nan(make_model(tg.losses.MeanSquaredError()), X, Y) is None


def test_the_data_and_the_parameters():
    x = X.copy()
    x[3, 1] = np.inf
    text = tg.debug.explain_nan(make_model(tg.losses.MeanSquaredError()), x, Y)
    assert text == "Before the step, these were not finite already:\n  the data: .x f32[8,3]: 1 of 24 is inf"
    net = eqx.tree_at(lambda n: n.bias, eqx.nn.Linear(3, 2, key=jax.random.key(0)), jnp.array([0.0, jnp.nan]))
    text = tg.debug.explain_nan(make_model(tg.losses.MeanSquaredError(), net), X, Y)
    assert text is not None and "states.net_params.bias f32[2]: 1 of 2 is nan" in text


def test_infinity_that_becomes_nan():
    def loss(y_pred: Any) -> Any:
        large = jnp.exp(jnp.abs(y_pred) + 1000)
        return jnp.sum(large - large, axis=-1)

    text = tg.debug.explain_nan(make_model(loss), X)
    assert text is not None and "`sub`" in text


@pytest.mark.parametrize("steps_per_execution", [1, 4])
def test_terminate_and_explain(steps_per_execution):
    """The fifth batch of the second epoch, or whichever comes first, has a label that the loss can't take."""
    y = Y.copy()
    y[5] = -1e9

    def loss(y_true: Any, y_pred: Any) -> Any:
        return jnp.sum(y_pred**2, axis=-1) + jnp.log(jnp.sum(y_true, axis=-1) + 10)

    stopping = tg.callbacks.TerminateOnNaN(explain=True)
    model, history = make_model(loss).fit(
        X,
        y,
        batch_size=2,
        epochs=3,
        shuffle=False,
        verbose=0,
        callbacks=[stopping],
        steps_per_execution=steps_per_execution,
    )
    assert int(model.states.step) == 3
    assert history.stopped is not None and history.stopped.startswith("step 3 is not finite.\nThe first that is")
    assert stopping.explanation is not None and "`log`" in stopping.explanation
    assert "f32[2]: 1 of 2 is nan" in stopping.explanation
