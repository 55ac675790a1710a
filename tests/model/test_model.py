"""`Model`: what it is made of, `replace`, getting it ready, and that a model never changes."""

import copy
import dataclasses
import pickle
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import treegy as tg
from helpers import linear
from helpers.linear_models import WEIGHT, X, Y, arrays, fitted, identical, mlp, moments, predicted, regression

# Construction


def test_everything_is_optional():
    model = tg.Model()
    assert model.module is None and model.loss is None and model.metrics is None and model.optimizer is None
    assert (
        model.state is None
        and model.batched is None
        and identical(model.seed, jax.random.key(42))
        and model.run_eagerly is False
    )
    assert model.parameters is None and not model.initialized


def test_fields():
    loss, metrics, optimizer, module = tg.losses.Huber(), [tg.metrics.Mean()], optax.sgd(1.0), linear()
    model = tg.Model(module, loss=loss, metrics=metrics, optimizer=optimizer, seed=1, batched=True, run_eagerly=True)
    assert (
        model.module is module
        and model.loss is loss
        and model.metrics[0] is metrics[0]
        and model.optimizer is optimizer
    )
    assert (model.batched, model.run_eagerly) == (True, True) and identical(model.seed, jax.random.key(1))
    assert tg.Model(module=module).module is module


def test_a_model_is_a_pytree():
    model = regression()
    assert isinstance(model, eqx.Module)
    shapes = [leaf.shape for leaf in jax.tree.leaves(eqx.filter(model, eqx.is_inexact_array))]
    assert (2, 3) in shapes and (2,) in shapes
    doubled = jax.tree.map(lambda leaf: 2 * leaf if eqx.is_inexact_array(leaf) else leaf, model)
    assert np.array_equal(doubled.module.weight, 2 * model.module.weight)
    changed = eqx.tree_at(lambda m: m.module.bias, model, jnp.ones(2))
    assert np.array_equal(changed.predict(X) - model.predict(X), jnp.broadcast_to(1 - model.module.bias, (10, 2))) or (
        np.allclose(changed.predict(X) - model.predict(X), 1 - model.module.bias[None], atol=1e-6)
    )
    assert np.array_equal(changed.states.net_params.bias, [1, 1])


def test_module_is_always_current():
    model = regression()
    trained = fitted(model)
    assert isinstance(trained.module, eqx.nn.Linear)
    assert not np.array_equal(trained.module.weight, model.module.weight)
    assert np.allclose(trained.predict(X), predicted(trained.module), atol=1e-5)
    assert np.array_equal(trained.module.weight, trained.parameters.weight)
    assert np.array_equal(trained.module.weight, trained.states.net_params.weight)


def test_a_module_type_at_run_time():
    assert isinstance(tg.Model[eqx.nn.Linear](linear()), tg.Model)

    class Mine(tg.Model[eqx.nn.Linear]):
        pass

    trained = fitted(Mine(linear(), loss=tg.losses.MeanSquaredError(), optimizer=optax.sgd(0.1)))
    assert type(trained) is Mine and isinstance(trained.module, eqx.nn.Linear)


# Users' subclasses


class Shifted(tg.Model[eqx.nn.Linear]):
    """With fields of its own, one of which is an array."""

    shift: Any = eqx.field(kw_only=True)
    note: str = eqx.field(default="none", kw_only=True, static=True)

    def pred_step(self, x, states):
        y_pred, states = super().pred_step(x=x, states=states)
        return y_pred + self.shift, states


def test_own_fields():
    model = Shifted(
        linear(), shift=jnp.float32(5), note="mine", loss=tg.losses.MeanSquaredError(), optimizer=optax.sgd(0.1)
    )
    assert np.allclose(model.predict(X), predicted(model.module) + 5, atol=1e-5)
    trained = fitted(model)
    assert (type(trained), float(trained.shift), trained.note) == (Shifted, 5, "mine")
    other = trained.replace(shift=jnp.float32(1), note="other")
    assert (float(other.shift), other.note) == (1, "other")
    assert np.allclose(other.predict(X), trained.predict(X) - 4, atol=1e-5)


class Built(tg.Model):
    """With an `__init__` of its own."""

    width: int = eqx.field(static=True, kw_only=True)

    def __init__(self, width: int, *, seed: int = 0):
        super().__init__(
            eqx.nn.MLP(3, 2, width, 1, key=jax.random.key(seed)),
            loss=tg.losses.MeanSquaredError(),
            optimizer=optax.sgd(0.1),
            seed=seed,
        )
        self.width = width


def test_own_init(tmp_path):
    model = Built(4)
    trained = fitted(model)
    assert (type(trained), trained.width, trained.module.width_size) == (Built, 4, 4)
    trained, _ = trained.train_on_batch(X, Y)
    trained, _ = trained.test_on_batch(X, Y)
    assert trained.replace(metrics=tg.metrics.Mean()).evaluate(X, Y, verbose=0).keys() >= {"loss", "mean"}
    trained.save(tmp_path / "model")
    assert np.array_equal(Built(4, seed=1).load(tmp_path / "model").predict(X), trained.predict(X))
    with pytest.raises(TypeError, match="`loss` is the string 'mse'"):
        trained.replace(loss="mse")


def test_states_of_ones_own():
    class Counting(tg.Model):
        def states_step(self):
            return super().states_step().update(examples=0)

        def train_step(self, **given):
            logs, states = super().train_step(**given)
            seen = 0 if given["initializing"] else given["x"].shape[0]
            return logs, states.update(examples=states.examples + seen)

    model = Counting(linear(), loss=tg.losses.MeanSquaredError(), optimizer=optax.sgd(0.1))
    assert model.states.examples == 0
    trained = fitted(model, epochs=3)
    assert int(trained.states.examples) == 30
    assert model.states.examples == 0
    assert int(trained.states.step) == 9


# `replace`


def test_replace_leaves_the_old_model_alone():
    model = regression()
    other = model.replace(loss=tg.losses.MeanAbsoluteError(), seed=3)
    assert isinstance(model.loss, tg.losses.MeanSquaredError) and identical(model.seed, jax.random.key(42))
    assert isinstance(other.loss, tg.losses.MeanAbsoluteError) and identical(other.seed, jax.random.key(3))
    assert other.module is model.module


def test_assigning_is_an_error_that_says_what_to_write():
    model: Any = regression()
    with pytest.raises(
        dataclasses.FrozenInstanceError, match=r"`model\.loss = \.\.\.` can't be\. Write `model = model\."
    ):
        model.loss = None
    with pytest.raises(dataclasses.FrozenInstanceError, match=r"Write `model = model\.replace\(states=\.\.\.\)`"):
        model.states = None
    with pytest.raises(dataclasses.FrozenInstanceError, match="and it has no field `rate`"):
        model.rate = 0.1


def test_replace_checks_as_the_constructor():
    with pytest.raises(TypeError, match="`optimizer` is 'adam'"):
        regression().replace(optimizer="adam")
    with pytest.raises(TypeError, match="`seed` is 'a'"):
        regression().replace(seed="a")


def test_replace_keeps_moments_of_leaves_that_stay():
    trained = fitted(regression(mlp()))
    same = trained.replace(module=mlp(seed=7))
    assert identical(moments(same), moments(trained))

    wider = eqx.tree_at(lambda m: m.layers[1], mlp(), eqx.nn.Linear(4, 3, key=jax.random.key(1)))
    replaced = trained.replace(module=wider)
    assert identical(moments(replaced).layers[0], moments(trained).layers[0])
    assert not np.any(np.asarray(moments(replaced).layers[1].weight)), "another shape begins from scratch"

    half = eqx.tree_at(lambda m: m.layers[0].weight, mlp(), replace_fn=lambda w: w.astype(jnp.bfloat16))
    replaced = trained.replace(module=half)
    assert not np.any(np.asarray(moments(replaced).layers[0].weight, np.float32)), "another dtype begins from scratch"
    assert identical(moments(replaced).layers[0].bias, moments(trained).layers[0].bias)

    deeper = trained.replace(module=mlp(depth=2))
    assert identical(moments(deeper).layers[0], moments(trained).layers[0])
    assert not np.any(np.asarray(moments(deeper).layers[2].weight))
    assert int(deeper.states.step) == int(trained.states.step)
    fitted(deeper)


def test_replace_optimizer_keeps_moments_but_no_hyperparameters():
    def sgd(rate: float) -> Any:
        return optax.inject_hyperparams(optax.sgd)(learning_rate=rate, momentum=0.9)

    with jax.numpy_dtype_promotion("standard"):
        trained = fitted(regression(optimizer=sgd(0.1)))
        other = trained.replace(optimizer=sgd(0.01))
        before, after = trained.states.optimizer_states, other.states.optimizer_states
        assert float(before.hyperparams["learning_rate"]) == pytest.approx(0.1)
        assert float(after.hyperparams["learning_rate"]) == pytest.approx(0.01)
        assert identical(before.inner_state, after.inner_state)
        assert int(before.count) == int(after.count) == 3
        again = trained.replace(loss=tg.losses.MeanAbsoluteError())
        assert identical(again.states.optimizer_states, before)


def test_replace_by_an_optimizer_of_another_kind():
    trained = fitted(regression()).replace(optimizer=optax.sgd(0.1))
    assert not jax.tree.leaves(trained.states.optimizer_states)
    fitted(trained)
    assert fitted(regression()).replace(optimizer=None).states.optimizer_states is None


def test_replace_trainable_keeps_what_is_still_trained():
    trained = fitted(regression())
    weight_only = jax.tree.map(lambda leaf: leaf.ndim == 2, linear())
    frozen = trained.replace(trainable=weight_only)
    assert identical(moments(frozen).weight, moments(trained).weight)
    assert moments(frozen).bias is None
    again = fitted(frozen)
    assert identical(again.module.bias, trained.module.bias)


def test_replace_drops_what_was_evaluated():
    model = regression(metrics=tg.metrics.Mean())
    model, _ = model.test_on_batch(X, Y)
    assert model.states.metrics_states is not None
    for fields in (dict(metrics=tg.metrics.MeanAbsoluteError()), dict(loss=None), dict(module=linear(seed=3))):
        replaced = model.replace(**fields)
        assert replaced.states.metrics_states is None
        replaced.test_on_batch(X, Y)
    assert model.replace(optimizer=optax.sgd(1.0)).states.metrics_states is not None


def test_replace_seed():
    model = regression().init(X, Y)
    assert identical(model.replace(seed=5).states.rng, jax.random.key(5))
    assert identical(model.replace(seed=jax.random.key(6)).states.rng, jax.random.key(6))


def test_replace_states():
    trained = fitted(regression())
    fresh = regression().replace(states=trained.states)
    assert identical(arrays(fresh.module), arrays(trained.module))
    assert identical(arrays(fitted(fresh)), arrays(fitted(trained)))
    added = trained.replace(states=trained.states.update(mine=jnp.ones(3)))
    assert np.array_equal(added.states.mine, [1, 1, 1])
    fitted(added)


# The structure of a model


def test_the_structure_is_the_same_wherever_a_model_comes_from():
    """So that it can be the carry of a loop, and that nothing is compiled again."""
    model = regression().init(X, Y)
    found = {
        "init": model,
        "train": model.train_on_batch(X, Y)[0],
        "test": model.test_on_batch(X, Y)[0],
        "reset": model.test_on_batch(X, Y)[0].reset_metrics(),
        "replace": model.replace(seed=42),
        "states": model.replace(states=model.states),
        "map": jax.tree.map(lambda leaf: leaf, model),
        "copy": copy.copy(model),
        "fit": fitted(model).init(X, Y),
    }
    assert {name for name, other in found.items() if jax.tree.structure(other) != jax.tree.structure(model)} == set()
    shapes = jax.tree.map(jax.typeof, arrays(model))
    assert {name for name, other in found.items() if jax.tree.map(jax.typeof, arrays(other)) != shapes} == set()


# Getting ready


@pytest.mark.parametrize("optimizer", [None, optax.sgd(0.1, momentum=0.9)])
def test_init(optimizer):
    model = regression(optimizer=optimizer)
    assert not model.initialized
    ready = model.init(X, Y)
    assert ready.initialized and not model.initialized
    assert (ready.states.optimizer_states is None) == (optimizer is None)
    assert ready.states.metrics_states is not None
    assert identical(arrays(ready.module), arrays(model.module))
    assert int(ready.states.step) == 0
    assert identical(arrays(ready.init(X, Y)), arrays(ready))
    assert model.init().initialized
    assert model.init(X).states.metrics_states is None


def test_init_runs_overridden_steps_once():
    seen: list[Any] = []

    class Own(tg.Model):
        def test_step(self, x, y_true, states, initializing):
            jax.debug.callback(lambda: seen.append("run"))
            if initializing:
                seen.append("initializing")
                states = states.update(net_params=jnp.zeros((x.shape[1], y_true.shape[1])), count=0)
            loss = jnp.mean((x @ states.net_params - y_true) ** 2)
            return loss, {"loss": loss}, states

    model = Own(optimizer=optax.sgd(0.1, momentum=0.9))
    ready = model.init(X, Y, batch_size=4)
    jax.effects_barrier()
    assert seen == ["initializing", "run"]
    assert ready.parameters.shape == (3, 2)
    assert isinstance(ready.states.count, jax.Array) and ready.states.count.dtype == jnp.int32
    assert ready.states.optimizer_states[0].trace.shape == (3, 2)
    seen.clear()
    assert ready.init(X, Y).parameters is ready.parameters
    assert "initializing" not in seen


def test_init_needs_no_computing_where_no_step_is_overridden():
    class Raises(eqx.Module):
        linear: eqx.nn.Linear

        def __call__(self, x):
            raise AssertionError("called")

    assert regression(Raises(linear())).init().initialized


def test_states_of_a_model():
    model = regression()
    assert set(model.states) == {
        "rng",
        "step",
        "net_params",
        "net_states",
        "state",
        "metrics_states",
        "optimizer_states",
    }
    assert identical(model.states.rng, jax.random.key(42))
    assert model.states.step.dtype == jnp.int32 and model.states.step == 0
    assert identical(arrays(eqx.combine(model.states.net_params, model.states.net_states)), arrays(model.module))


# The old model stays


def test_the_model_passed_in_stays_usable():
    model = regression(mlp()).init(X, Y)
    before = jax.tree.map(np.array, arrays(model.module))
    kept = np.array(model.predict(X))
    trained = model
    for _ in range(2):
        trained, _ = trained.fit(X, Y, batch_size=4, epochs=2, validation_data=(X, Y), verbose=0)
        trained, _ = trained.train_on_batch(X, Y)
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(arrays(model)) + jax.tree.leaves(arrays(trained)))
    assert identical(jax.tree.map(np.array, arrays(model.module)), before)
    assert np.array_equal(model.predict(X), kept)
    assert identical(arrays(fitted(model)), arrays(fitted(model)))


def test_data_is_left_alone():
    x, y, weight = X.copy(), Y.copy(), WEIGHT.copy()
    on_device = jnp.asarray(x), jnp.asarray(y)
    fitted(regression(), x, y, sample_weight=weight)
    fitted(regression(), *on_device)
    assert np.array_equal(x, X) and np.array_equal(y, Y) and np.array_equal(weight, WEIGHT)
    assert not on_device[0].is_deleted() and np.array_equal(on_device[0], X)


def test_shared_leaves_are_trained_once_each():
    """An array that is in the module twice is two parameters, and donating it would be an error."""
    weight = jnp.ones((2, 3))

    class Twice(eqx.Module):
        a: jax.Array
        b: jax.Array

        def __call__(self, x):
            return self.a @ x + self.b @ (2 * x)

    with pytest.warns(UserWarning, match=r"`\.b` is `\.a`.*eqx\.nn\.Shared"):
        trained = fitted(regression(Twice(weight, weight)))
    assert not np.array_equal(trained.module.a, trained.module.b)
    assert np.array_equal(weight, np.ones((2, 3)))


# Copies


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))],
    ids=["copy", "deep", "pickle"],
)
@pytest.mark.parametrize("used", [False, True])
def test_copies(copied, used):
    model = tg.Model(
        linear(), loss=tg.losses.MeanSquaredError(on=None), metrics=[tg.metrics.Mean(), tg.metrics.R2Score()], seed=3
    )
    if used:
        model, _ = model.test_on_batch(X, Y)
    again = copied(model)
    assert type(again) is tg.Model and identical(again.seed, jax.random.key(3))
    assert identical(arrays(model.states), arrays(again.states))
    assert again.evaluate(X, Y, verbose=0) == model.evaluate(X, Y, verbose=0)
    assert again.initialized == used


def test_a_copy_that_trains():
    model = regression()
    again = copy.deepcopy(model)
    trained = fitted(again)
    assert identical(arrays(trained), arrays(fitted(model)))
    assert identical(arrays(again.module), arrays(model.module))


class Own(tg.Model):
    """Makes its parameters in a step."""

    def test_step(self, x, y_true, states, initializing):
        if initializing:
            states = states.update(net_params={"w": jnp.zeros((x.shape[1], 2)), "b": jnp.zeros(2)}, seen=0)
        y_pred = x @ states.net_params["w"] + states.net_params["b"][None]
        loss = jnp.mean((y_pred - y_true) ** 2)
        return loss, {"loss": loss}, states.update(seen=states.seen + 1)


# Batch by batch


def test_on_batch():
    model = regression(metrics=tg.metrics.MeanAbsoluteError())
    trained, logs = model.train_on_batch(X, Y)
    y_pred = predicted(model.module)
    assert logs.keys() == {"loss", "mean_squared_error_loss", "mean_absolute_error"}
    assert all(isinstance(v, jax.Array) and v.shape == () for v in logs.values())
    assert float(logs["loss"]) == pytest.approx(np.mean((y_pred - Y) ** 2), rel=1e-5)
    gradient = 2 * (y_pred - Y).T @ X / Y.size
    assert np.allclose(trained.module.weight, np.asarray(model.module.weight) - 0.1 * gradient, atol=1e-6)
    assert int(trained.states.step) == 1
    assert np.allclose(model.predict_on_batch(X), y_pred, atol=1e-5)
    assert np.array_equal(model(X), model.predict_on_batch(X))


def test_test_on_batch_is_cumulative():
    model = regression(metrics=tg.metrics.MeanAbsoluteError())
    whole = model.evaluate(X, Y, verbose=0)
    evaluated, first = model.test_on_batch(X[:3], Y[:3])
    evaluated, both_ = evaluated.test_on_batch(X[3:], Y[3:])
    assert {k: float(v) for k, v in both_.items()} == pytest.approx(whole, rel=1e-6)
    again, fresh = evaluated.reset_metrics().test_on_batch(X[:3], Y[:3])
    assert float(fresh["loss"]) == float(first["loss"])
    assert int(again.states.step) == 0


def test_evaluate_and_fit_leave_no_metrics_behind():
    model, _ = regression(metrics=tg.metrics.Mean()).test_on_batch(X, Y)
    model.evaluate(X[:3], Y[:3], verbose=0)
    assert model.states.metrics_states is not None
    assert fitted(model).states.metrics_states is None
    assert tg.Model().reset_metrics().states.metrics_states is None
