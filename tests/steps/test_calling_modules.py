"""How modules are called: inputs that have names which treegy provides, and what the axis of examples is called."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import treegy as tg

X, Y, Z = (np.random.default_rng(i).normal(size=(6, 3)).astype(np.float32) for i in range(3))
MSE = tg.losses.MeanSquaredError()


class Module(eqx.Module):
    """A module whose call is a function."""

    fn: Callable[..., Any] = eqx.field(static=True)


def module(fn: Callable[..., Any]) -> Any:
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    import inspect

    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    call.__signature__ = inspect.Signature([own, *inspect.signature(fn).parameters.values()])
    return type("Called", (Module,), {"__call__": call})(fn)


@pytest.mark.parametrize(
    "fn, x, right",
    [
        (lambda state, action: state - 2 * action, (X, Y), X - 2 * Y),
        (lambda query, key, value: query - 2 * key + 3 * value, (X, Y, Z), X - 2 * Y + 3 * Z),
        (lambda key: 2 * key, (X,), 2 * X),
        (lambda x, inference: x - inference, (X, Y), X - Y),
        (lambda states, parameters: states - parameters, (X, Y), X - Y),
        (lambda x, training, *, initializing=False: x - training, (X, Y), X - Y),
        (lambda key, value, scale=2.0: key - scale * value, (X, Y), X - 2 * Y),
        (lambda x, y, key: x - y + jax.random.uniform(key) * 0, (X, Y), X - Y),  # one fewer: `key` is provided
        (lambda x, scale=2.0, *, inference: x * scale if inference else None, (X,), 2 * X),
    ],
)
def test_a_tuple_fills_all_that_has_to_be_given(fn: Any, x: Any, right: Any):
    np.testing.assert_allclose(tg.Model(module(fn)).predict(x), right, rtol=1e-5, atol=1e-6)


def test_a_dict_gives_names_that_are_provided_otherwise():
    found = tg.Model(module(lambda state, key: state - key)).predict({"state": X, "key": Y})
    np.testing.assert_array_equal(found, X - Y)


def test_the_state_of_a_model_that_has_one_is_never_an_input():
    class Counted(eqx.Module):
        norm: eqx.nn.BatchNorm

        def __call__(self, x: Any, state: eqx.nn.State) -> Any:
            return self.norm(x, state)

    net, state = eqx.nn.make_with_state(lambda: Counted(eqx.nn.BatchNorm(3, "batch", mode="batch")))()
    assert tg.Model(net, state=state).predict((X,)).shape == (6, 3)
    with pytest.raises(tg.InjectionError, match="takes 1 input, and `x` is a tuple of 2"):
        tg.Model(net, state=state).predict((X, Y))


def test_summary_shows_which_input_goes_where():
    text = str(tg.Model(module(lambda query, key, value: query)).summary((X, Y[:, :2], Z)))
    row = " ".join(text.split()).replace("\xa0", " ")
    assert "query f32[6,3], key f32[6,2] (from `x`, not the injected one), value f32[6,3]" in row
    text = str(tg.Model(module(lambda state, action: state)).summary((X, Y)))
    assert "state f32[6,3], action f32[6,3]" in text.replace("\xa0", " ")


def test_names_that_are_taken_are_told():
    with pytest.raises(tg.InjectionError) as error:
        tg.Model(module(lambda state, action, reward: state)).predict((X,))
    assert str(error.value).startswith("module `Called` takes 2 inputs, and `x` is a tuple of 1.")
    assert "`state` is provided by treegy, unless `x` is a tuple of 3, for all arguments without a default" in str(
        error.value
    )
    with pytest.raises(tg.InjectionError, match="takes 2 inputs") as error:
        tg.Model(module(lambda query, key, states, value: query)).predict((X,))
    assert "`key`, `states` are provided by treegy, unless `x` is a tuple of 4" in str(error.value)


def test_inference_is_what_training_is_not():
    def told(x: Any, inference: bool, training: bool) -> Any:
        assert inference is not training
        return x * (1.0 if inference else 2.0)

    net = module(lambda x, *, inference, training: told(x, inference, training))
    np.testing.assert_array_equal(tg.Model(net).predict(X), X)
    weighed = module(lambda x, *, inference, parameters: x * (1.0 if inference else 2.0))
    _, logs = tg.Model(_Weighed(jnp.ones(3), weighed), loss=MSE, optimizer=optax.sgd(0.0)).train_on_batch(X, 2 * X)
    assert logs["loss"] == 0
    logs = tg.Model(_Weighed(jnp.ones(3), weighed), loss=MSE).evaluate(X, X, verbose=0)
    assert logs["loss"] == 0


class _Weighed(eqx.Module):
    weight: jax.Array
    inner: Any = eqx.field(static=True)

    def __call__(self, x: Any, *, inference: bool) -> Any:
        return self.inner(self.weight * x, inference=inference, parameters=None)


# The axis of examples


@pytest.mark.parametrize("name", ["batch", "b", "examples"])
def test_batch_norm_with_any_axis_name(name: str):
    net, state = eqx.nn.make_with_state(eqx.nn.BatchNorm)(3, name, mode="batch")
    model, _ = tg.Model(net, state=state, loss=MSE, optimizer=optax.sgd(0.1)).train_on_batch(X, X)
    right, _ = jax.vmap(net, axis_name=name, in_axes=(0, None), out_axes=(0, None))(jnp.asarray(X), state)
    _, logs = tg.Model(net, state=state, loss=MSE, optimizer=optax.sgd(0.1)).train_on_batch(X, right)
    assert float(logs["loss"]) < 1e-10 and model.state is not None


def test_an_axis_of_the_module_s_own_takes_no_name_away():
    class Patches(eqx.Module):
        norm: eqx.nn.BatchNorm

        def __call__(self, x: Any, state: eqx.nn.State) -> Any:
            both = jnp.stack([x, 2 * x])
            y, _ = jax.vmap(self.norm, axis_name="patches", in_axes=(0, None), out_axes=(0, None))(both, state)
            return jax.lax.pmean(y[0], "batch"), state

    make = lambda: Patches(eqx.nn.BatchNorm(3, "patches", mode="batch"))  # noqa: E731
    net, state = eqx.nn.make_with_state(make)()
    assert tg.Model(net, state=state).predict(X).shape == (6, 3)


def test_layers_that_disagree_about_the_name_are_told():
    class Two(eqx.Module):
        a: eqx.nn.BatchNorm
        b: eqx.nn.BatchNorm

        def __call__(self, x: Any, state: eqx.nn.State) -> Any:
            x, state = self.a(x, state)
            return self.b(x, state)

    make = lambda: Two(*(eqx.nn.BatchNorm(3, name, mode="batch") for name in ("a", "b")))  # noqa: E731
    net, state = eqx.nn.make_with_state(make)()
    with pytest.raises(NameError, match="unbound axis name") as error:
        tg.Model(net, state=state, loss=MSE, optimizer=optax.sgd(0.1)).fit(X, X, verbose=0)
    assert any('their axis is called "batch": use that as `axis_name`' in note for note in error.value.__notes__)


def test_an_axis_that_a_module_makes_up_is_told():
    with pytest.raises(NameError, match="unbound axis name") as error:
        tg.Model(module(lambda x: jax.lax.pmean(x, "b"))).predict(X)
    assert any('called "batch"' in note for note in error.value.__notes__)
