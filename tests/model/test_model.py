"""`Model`: what it is made of, what it trains, what goes into it and comes out, and that nothing of it ever changes."""

import copy
import dataclasses
import pickle
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import treegy as tg
from helpers import linear, numbers

X, Y, WEIGHT = numbers(10, 3), numbers(10, 2, seed=1), np.linspace(0, 2, 10, dtype="f4")
LABELS = np.array([0, 1, 2, 2, 1, 0, 0, 1, 2, 1], np.int32)


def mlp(depth: int = 1, seed: int = 0) -> eqx.nn.MLP:
    return eqx.nn.MLP(3, 2, 4, depth, key=jax.random.key(seed))


# One object, so that tests share compiled programs.
SGD = optax.sgd(0.1, momentum=0.9)


def regression(module: Any = None, **fields: Any) -> tg.Model[Any]:
    fields = {"loss": tg.losses.MeanSquaredError(), "optimizer": SGD, **fields}
    return tg.Model(linear() if module is None else module, **fields)


def fitted(model: Any, x: Any = X, y: Any = Y, **arguments: Any) -> Any:
    return model.fit(x, y, **{"batch_size": 4, "verbose": 0, **arguments})[0]


def identical(a: Any, b: Any) -> bool:
    """Whether two PyTrees are of one structure and the same to the last bit."""
    words = lambda leaf: jax.random.key_data(leaf) if eqx.is_array(leaf) and is_key(leaf) else leaf  # noqa: E731
    is_key = lambda leaf: jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)  # noqa: E731
    if jax.tree.structure(a) != jax.tree.structure(b):
        return False
    for x, y in zip(map(words, jax.tree.leaves(a)), map(words, jax.tree.leaves(b)), strict=True):
        same = np.asarray(x).tobytes() == np.asarray(y).tobytes() and x.dtype == y.dtype if eqx.is_array(x) else x == y
        if not same:
            return False
    return True


def arrays(tree: Any) -> Any:
    return eqx.filter(tree, eqx.is_array)


def predicted(module: Any, x: np.ndarray = X) -> np.ndarray:
    return np.float64(x) @ np.asarray(module.weight, np.float64).T + np.asarray(module.bias, np.float64)


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


def test_replace_checks_as_the_constructor():
    with pytest.raises(TypeError, match="`optimizer` is 'adam'"):
        regression().replace(optimizer="adam")
    with pytest.raises(TypeError, match="`seed` is 'a'"):
        regression().replace(seed="a")


def moments(model: tg.Model[Any]) -> Any:
    """Those of `optax.sgd(momentum=)`."""
    return model.states.optimizer_states[0].trace


def test_replace_keeps_moments_of_leaves_that_stay():
    trained = fitted(regression(mlp()))
    same = trained.replace(module=mlp(seed=7))
    assert identical(moments(same), moments(trained))

    wider = eqx.tree_at(lambda m: m.layers[1], mlp(), eqx.nn.Linear(4, 3, key=jax.random.key(1)))
    replaced = trained.replace(module=wider)
    assert identical(moments(replaced).layers[0], moments(trained).layers[0])
    assert not np.any(np.asarray(moments(replaced).layers[1].weight)), "another shape begins anew"

    half = eqx.tree_at(lambda m: m.layers[0].weight, mlp(), replace_fn=lambda w: w.astype(jnp.bfloat16))
    replaced = trained.replace(module=half)
    assert not np.any(np.asarray(moments(replaced).layers[0].weight, np.float32)), "another dtype begins anew"
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


# What is trained


@pytest.mark.parametrize(
    "trainable, frozen",
    [
        (lambda leaf: eqx.is_inexact_array(leaf) and leaf.ndim == 2, lambda m: [layer.bias for layer in m.layers]),
        (lambda leaf: leaf.ndim == 2, lambda m: [layer.bias for layer in m.layers]),
        (
            eqx.tree_at(lambda m: m.layers[0], jax.tree.map(lambda _: True, mlp()), False),
            lambda m: [m.layers[0].weight, m.layers[0].bias],
        ),
        (
            eqx.tree_at(lambda m: m.layers[1], jax.tree.map(lambda _: False, mlp()), eqx.is_inexact_array),
            lambda m: [m.layers[0].weight, m.layers[0].bias],
        ),
    ],
    ids=["function", "function of arrays", "tree of booleans", "tree with a function"],
)
def test_what_is_frozen_stays_to_the_last_bit(trainable, frozen):
    model = regression(mlp(), trainable=trainable)
    trained = fitted(model, epochs=3)
    assert identical(frozen(trained.module), frozen(model.module))
    assert jax.tree.leaves(frozen(trained.parameters)) == []
    assert jax.tree.leaves(frozen(moments(trained))) == []
    for before, after in zip(jax.tree.leaves(model.parameters), jax.tree.leaves(trained.parameters), strict=True):
        assert not np.array_equal(before, after)


def test_all_of_it_can_be_frozen_for_evaluating():
    model = regression(trainable=False)
    assert jax.tree.leaves(model.parameters) == []
    assert model.evaluate(X, Y, verbose=0)["loss"] == pytest.approx(
        np.mean((predicted(model.module) - Y) ** 2), rel=1e-5
    )


def test_integers_are_no_parameters():
    class Counted(eqx.Module):
        linear: eqx.nn.Linear
        table: jax.Array

        def __call__(self, x):
            return self.linear(x) + self.table.astype(jnp.float32)

    model = regression(Counted(linear(), jnp.arange(2)), trainable=lambda _: True)
    trained = fitted(model)
    assert identical(trained.module.table, jnp.arange(2))


def test_module_that_is_any_pytree():
    class Gan(tg.Model):
        def pred_step(self, x, states):
            return jax.vmap(self.module["generator"])(x), states

    nets = {"generator": linear(), "discriminator": linear(2, 1)}
    model = Gan(nets, loss=tg.losses.MeanSquaredError(), optimizer=optax.sgd(0.1))
    trained = fitted(model)
    assert not np.array_equal(trained.module["generator"].weight, nets["generator"].weight)
    assert np.array_equal(trained.module["discriminator"].weight, nets["discriminator"].weight)


# What a module is given


class Axes(eqx.Module):
    """Says how many axes it was given."""

    linear: eqx.nn.Linear

    def __call__(self, x):
        return (self.linear(x) if x.ndim == 1 else jax.vmap(self.linear)(x)), jnp.full(x.shape[:-1], x.ndim)


def test_modules_take_an_example_or_a_batch():
    one, whole = tg.Model(Axes(linear())), tg.Model(Axes(linear()), batched=True)
    y, ndim = one.predict(X, batch_size=4)
    y_whole, ndim_whole = whole.predict(X, batch_size=4)
    assert np.all(ndim == 1) and np.all(ndim_whole == 2)
    assert np.allclose(y, y_whole, atol=1e-6)


def test_batched_modules_see_their_batch_only():
    class Normalized(eqx.Module):
        linear: eqx.nn.Linear

        def __call__(self, x):
            return jax.vmap(self.linear)(x - jnp.mean(x, axis=0, keepdims=True))

    model = tg.Model(Normalized(linear()), batched=True)
    expected = [predicted(model.module.linear, part - part.mean(0)) for part in (X[:4], X[4:8], X[8:])]
    assert np.allclose(model.predict(X, batch_size=4), np.concatenate(expected), atol=1e-5)


def test_example_modules_can_reduce_over_the_batch():
    model = tg.Model(lambda x: x - jax.lax.pmean(x, "batch"))
    assert np.allclose(model.predict(X), X - X.mean(0), atol=1e-6)


class Point(NamedTuple):
    a: Any
    b: Any


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Record:
    a: Any
    b: Any


class Node(eqx.Module):
    a: Any
    b: Any


def both(a, b):
    return a - b


def by_field(value):
    return value.a - value.b


@pytest.mark.parametrize(
    "x, module",
    [
        ((X, 2 * X), both),
        ({"a": X, "b": 2 * X}, both),
        ({"b": 2 * X, "a": X, "unused": X}, both),
        ([X, 2 * X], lambda value: value[0] - value[1]),
        (Point(X, 2 * X), by_field),
        (Record(X, 2 * X), by_field),
        (Node(X, 2 * X), by_field),
        (((X, 2 * X),), lambda pair: pair[0] - pair[1]),
        ({"pair": (X, 2 * X)}, lambda pair: pair[0] - pair[1]),
        ({"a": {"deep": X}, "b": 2 * X}, lambda a, b: a["deep"] - b),
        ((X, 2 * X), lambda *args: args[0] - args[1]),
        ({"a": X, "b": 2 * X}, lambda **kwargs: kwargs["a"] - kwargs["b"]),
        ((X, 2 * X), lambda a, /, b, *, c=None, key=None: a - b),
        (-X, lambda x: x),
    ],
)
@pytest.mark.parametrize("on_batch", [False, True])
def test_structures_of_x(x, module, on_batch):
    model = tg.Model(module)
    y = model.predict_on_batch(x) if on_batch else model.predict(x, batch_size=4)
    assert np.array_equal(y, -X)


def test_keywords_take_all_keys_and_nothing_else():
    seen = {}

    def module(a, **others):
        seen.update(others)
        return a

    tg.Model(module).predict({"a": X, "b": X, "training_": X})
    assert sorted(seen) == ["b", "training_"]


def test_a_key_of_x_wins_over_what_treegy_provides():
    def module(x, key, training):
        return x + key + training

    y = tg.Model(module).predict({"x": X, "key": X, "training": 2 * X})
    assert np.allclose(y, 4 * X)


def test_what_a_module_can_ask_for():
    seen: dict[str, Any] = {}

    def module(x, training, initializing, parameters, states, key):
        seen.update(training=training, initializing=initializing, states=set(states), key=key.shape)
        return x

    tg.Model(module).predict(X)
    assert seen["training"] is False and seen["initializing"] is False and seen["key"] == ()
    assert {"rng", "net_params"} <= seen["states"]


def test_a_default_is_what_is_taken_where_there_is_nothing():
    assert np.array_equal(tg.Model(lambda x, scale=3: scale * x).predict(X), 3 * X)


def test_a_module_without_inputs():
    class Constant(eqx.Module):
        value: jax.Array

        def __call__(self):
            return self.value

    class Mine(tg.Model):
        def pred_step(self, x, states):
            return jnp.broadcast_to(self.module(), (x.shape[0], 2)), states

    model = Mine(Constant(jnp.zeros(2)), loss=tg.losses.MeanSquaredError(), optimizer=optax.sgd(0.5))
    assert np.allclose(fitted(model, batch_size=10, epochs=30).module.value, Y.mean(0), atol=1e-5)


@pytest.mark.parametrize(
    "y, module, on",
    [
        ({"a": Y, "b": X}, lambda x: {"a": x[:2], "b": x}, "a"),
        ((X, Y), lambda x: (x, x[:2]), 1),
        ([X, {"a": Y}], lambda x: [x, {"a": x[:2]}], (1, "a")),
        (Point(Y, X), lambda x: Point(x[:2], x), "a"),
        (Point(Y, X), lambda x: Point(x[:2], x), 0),
        (Record(Y, X), lambda x: Record(x[:2], x), "a"),
        (Y, lambda x: {"a": x[:2]}, {"y_pred": "a"}),
        ({"b": Y}, lambda x: (x, x[:2]), {"y_pred": 1, "y_true": "b"}),
    ],
)
def test_structures_of_y_and_on(y, module, on):
    model = tg.Model(module, loss=tg.losses.MeanSquaredError(on=on), metrics=tg.metrics.MeanAbsoluteError(on=on))
    logs = model.evaluate(X, y, batch_size=4, verbose=0)
    assert logs["loss"] == pytest.approx(np.mean((Y - X[:, :2]) ** 2), rel=1e-5)
    assert logs["mean_absolute_error"] == pytest.approx(np.mean(np.abs(Y - X[:, :2])), rel=1e-5)


def test_on_of_what_is_not_read_matters_not():
    model = tg.Model(lambda x: {"a": x}, metrics=tg.metrics.Mean(on="a"))
    assert model.evaluate(X, Y, verbose=0)["mean"] == pytest.approx(X.mean(), abs=1e-6)


# Weights, against NumPy


def crossentropy(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return (np.log(np.exp(shifted).sum(-1)) - np.take_along_axis(shifted, labels[:, None], 1)[:, 0]).astype(np.float64)


CLASS_WEIGHT = {0: 0.5, 1: 2.0, 2: 0.0}


@pytest.mark.parametrize("sample_weight", [None, WEIGHT])
@pytest.mark.parametrize("class_weight", [None, CLASS_WEIGHT, [0.5, 2.0, 0.0], np.array([0.5, 2.0, 0.0])])
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "weighted_mean", "sum"])
def test_weights(sample_weight, class_weight, reduction):
    losses = {
        "sparse": tg.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=reduction, name="loss"),
        "penalty": tg.regularizers.GlobalL2(0.1, name="loss"),
    }
    model = tg.Model(linear(outputs=3), loss=losses, metrics=tg.metrics.SparseCategoricalAccuracy(name="accuracy"))
    logs = model.evaluate(X, LABELS, batch_size=4, sample_weight=sample_weight, class_weight=class_weight, verbose=0)
    logits = predicted(model.module)
    given = np.ones(10) if sample_weight is None else np.float64(sample_weight)
    weight = given if class_weight is None else given * np.array([0.5, 2.0, 0.0])[LABELS]
    total = np.sum(weight * crossentropy(logits, LABELS))
    expected = {"sum_over_batch_size": total / 10, "weighted_mean": total / weight.sum(), "sum": total}[reduction]
    penalty = 0.1 * sum(np.sum(np.float64(p) ** 2) for p in (model.module.weight, model.module.bias))
    assert logs["sparse/loss"] == pytest.approx(expected, rel=1e-5)
    assert logs["penalty/loss"] == pytest.approx(penalty, rel=1e-5)
    assert logs["loss"] == pytest.approx(expected + penalty, rel=1e-5)
    correct = logits.argmax(-1) == LABELS
    assert logs["accuracy"] == pytest.approx(np.sum(given * correct) / given.sum(), rel=1e-5), (
        "classes don't weigh metrics"
    )


def test_class_weight_of_one_hot_and_of_column_labels():
    one_hot = np.eye(3, dtype="f4")[LABELS]
    sparse = tg.Model(linear(outputs=3), loss=tg.losses.SparseCategoricalCrossentropy(from_logits=True))
    dense = tg.Model(linear(outputs=3), loss=tg.losses.CategoricalCrossentropy(from_logits=True))
    binary = tg.Model(linear(outputs=1), loss=tg.losses.BinaryCrossentropy(from_logits=True))
    expected = sparse.evaluate(X, LABELS, class_weight=CLASS_WEIGHT, verbose=0)["loss"]
    assert dense.evaluate(X, one_hot, class_weight=CLASS_WEIGHT, verbose=0)["loss"] == pytest.approx(expected, rel=1e-5)
    column = (LABELS == 1).astype("f4")[:, None]
    weights = np.where(column[:, 0] == 1, 3.0, 0.5).astype("f4")
    by_class = binary.evaluate(X, column, class_weight={0: 0.5, 1: 3.0}, verbose=0)
    assert by_class["loss"] == pytest.approx(
        binary.evaluate(X, column, sample_weight=weights, verbose=0)["loss"], rel=1e-6
    )


def test_class_weight_reaches_losses_that_make_accumulators():
    class Weighted(tg.Loss):
        def call(self, y_true, y_pred, sample_weight=None):
            values = jnp.mean(y_pred, axis=-1)
            return tg.Mean.of(values, sample_weight)

    model = tg.Model(linear(outputs=3), loss=Weighted())
    weight = WEIGHT * np.array([0.5, 2.0, 0.0])[LABELS]
    logs = model.evaluate(X, LABELS, sample_weight=WEIGHT, class_weight=CLASS_WEIGHT, batch_size=4, verbose=0)
    assert logs["loss"] == pytest.approx(np.sum(weight * predicted(model.module).mean(-1)) / weight.sum(), rel=1e-5)


def test_class_weight_after_on():
    losses = [
        tg.losses.SparseCategoricalCrossentropy(from_logits=True, on={"y_true": "a"}, name="a"),
        tg.losses.SparseCategoricalCrossentropy(from_logits=True, on={"y_true": "b"}, name="b"),
    ]
    model = tg.Model(linear(outputs=3), loss=losses)
    other = (LABELS + 1) % 3
    logs = model.evaluate(X, {"a": LABELS, "b": other}, class_weight=CLASS_WEIGHT, verbose=0)
    for name, labels in (("a_loss", LABELS), ("b_loss", other)):
        values = crossentropy(predicted(model.module), labels) * np.array([0.5, 2.0, 0.0])[labels]
        assert logs[name] == pytest.approx(values.mean(), rel=1e-5)


def test_class_weight_is_for_training():
    model = regression(linear(outputs=3), loss=tg.losses.SparseCategoricalCrossentropy(from_logits=True))
    weighted, history = model.fit(
        X, LABELS, class_weight=CLASS_WEIGHT, validation_data=(X, LABELS), batch_size=4, verbose=0
    )
    assert history.history["val_loss"][0] == pytest.approx(weighted.evaluate(X, LABELS, verbose=0)["loss"], rel=1e-6)
    assert not identical(arrays(weighted.module), arrays(fitted(model, X, LABELS).module))


def test_weights_chosen_by_on():
    losses = [
        tg.losses.MeanSquaredError(on={"sample_weight": "a"}, name="a"),
        tg.losses.MeanSquaredError(on={"sample_weight": "b"}, name="b"),
    ]
    model = tg.Model(linear(), loss=losses)
    squared = np.mean((predicted(model.module) - Y) ** 2, axis=-1)
    logs = model.evaluate(X, Y, sample_weight={"a": WEIGHT, "b": 1 - WEIGHT}, batch_size=4, verbose=0)
    assert logs["a_loss"] == pytest.approx(np.mean(squared * WEIGHT), rel=1e-5)
    assert logs["b_loss"] == pytest.approx(np.mean(squared * (1 - WEIGHT)), rel=1e-4)
    assert model.evaluate(X, Y, verbose=0)["a_loss"] == pytest.approx(np.mean(squared), rel=1e-5)


def test_a_zero_weight_removes_an_example():
    x, weight = X.copy(), np.ones(10, "f4")
    x[3], weight[3] = np.nan, 0
    model = regression()
    logs = model.evaluate(x, Y, sample_weight=weight, batch_size=4, verbose=0)
    rest = np.arange(10) != 3
    assert logs["loss"] == pytest.approx(np.sum((predicted(model.module)[rest] - Y[rest]) ** 2) / 20, rel=1e-5)


# Randomness


class Noisy(eqx.Module):
    linear: eqx.nn.Linear

    def __call__(self, x, key):
        return self.linear(x) + jax.random.normal(key, (2,))


def test_keys_differ_by_example():
    def words(x, key):
        return jax.random.key_data(key)

    model = tg.Model(words)
    found = np.asarray(model.predict(X, batch_size=4))
    assert len({tuple(row) for row in found}) == 10
    assert np.array_equal(found, model.predict(X, batch_size=4))


def test_keys_differ_from_step_to_step_and_from_epoch_to_epoch():
    seen = []

    class Telling(eqx.Module):
        linear: eqx.nn.Linear

        def __call__(self, x, key):
            jax.debug.callback(lambda data: seen.append(tuple(data.ravel().tolist())), jax.random.key_data(key))
            return self.linear(x)

    fitted(regression(Telling(linear())), epochs=3)
    jax.effects_barrier()
    assert len(seen) >= 30 and len(set(seen)) >= 30


def test_dropout_only_in_training():
    module = eqx.nn.Sequential([linear(), eqx.nn.Dropout(0.5)])
    model = regression(module)
    assert np.allclose(model.predict(X), predicted(module[0]), atol=1e-5)
    _, a = model.train_on_batch(X, Y)
    _, b = model.replace(seed=1).train_on_batch(X, Y)
    expected = np.mean((predicted(module[0]) - Y) ** 2)
    assert a["loss"] != b["loss"] and a["loss"] != pytest.approx(expected)
    assert model.evaluate(X, Y, verbose=0)["loss"] == pytest.approx(expected, rel=1e-5)


def test_same_seed_same_bits():
    a, history_a = regression(Noisy(linear())).fit(X, Y, batch_size=4, epochs=2, validation_split=0.3, verbose=0)
    b, history_b = regression(Noisy(linear())).fit(X, Y, batch_size=4, epochs=2, validation_split=0.3, verbose=0)
    assert identical(arrays(a), arrays(b))
    assert history_a.history == history_b.history
    assert identical(a.predict(X), b.predict(X))


@pytest.mark.parametrize("other", [43, jax.random.key(43), np.int64(43), jax.random.PRNGKey(43)], ids=str)
def test_another_seed(other):
    model = regression(Noisy(linear()))
    assert not identical(arrays(fitted(model).module), arrays(fitted(model.replace(seed=other)).module))


@pytest.mark.parametrize("same", [jax.random.key(42), np.int64(42), jnp.int32(42), jax.random.PRNGKey(42)], ids=str)
def test_a_seed_can_be_a_key(same):
    model = regression(Noisy(linear()))
    assert identical(arrays(fitted(model).module), arrays(fitted(model.replace(seed=same)).module))


@pytest.mark.parametrize("seed", [0, -1, 2**31, 2**32 - 1])
def test_every_integer_of_32_bits_is_a_seed(seed):
    assert regression(seed=seed).states.rng.shape == ()


def test_a_seed_of_more_bits():
    with pytest.raises(ValueError, match="`seed` is 1099511627776; an integer of 32 bits is expected"):
        regression(seed=2**40)


def test_a_key_of_another_kind():
    trained = fitted(regression(Noisy(linear()), seed=jax.random.key(0, impl="rbg")))
    assert str(jax.random.key_impl(trained.states.rng)) == "rbg"


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


# Dtypes


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision(dtype):
    class Half(eqx.Module):
        linear: eqx.nn.Linear

        def __call__(self, x):
            return self.linear(x.astype(dtype))

    module = Half(jax.tree.map(lambda leaf: leaf.astype(dtype), linear()))
    model = regression(module, metrics=tg.metrics.MeanAbsoluteError())
    trained, history = model.fit(X, Y, batch_size=4, epochs=3, verbose=0)
    assert trained.module.linear.weight.dtype == dtype
    assert not np.array_equal(trained.module.linear.weight, module.linear.weight)
    assert trained.predict(X).dtype == dtype
    trained, logs = trained.train_on_batch(X, Y)
    assert {leaf.dtype for leaf in logs.values()} == {jnp.dtype("float32")}
    assert history.history["loss"][-1] < history.history["loss"][0]
    y_pred = np.asarray(trained.predict(X), np.float64)
    expected = np.mean((y_pred - Y) ** 2)
    # XLA may keep more bits than `predict` can return.
    assert trained.evaluate(X, Y, verbose=0)["loss"] == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize(
    "given, expected",
    [
        ("f8", "float32"),
        ("i8", "int32"),
        ("u8", "uint32"),
        ("f2", "float16"),
        ("i1", "int8"),
        ("?", "bool"),
        ("f4", "float32"),
    ],
)
@pytest.mark.parametrize("method", ["predict", "predict_on_batch"])
def test_only_64_bits_become_32(given, expected, method):
    seen = []

    def module(x):
        seen.append(x.dtype)
        return x

    y = getattr(tg.Model(module), method)(np.abs(10 * X).astype(given))
    assert y.dtype == expected and set(seen) == {jnp.dtype(expected)}


def test_64_bits_train_as_32():
    a, b = fitted(regression(), X.astype(np.float64), Y.astype(np.float64)), fitted(regression())
    assert identical(arrays(a), arrays(b))


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


# Saving


def test_save_and_load_into_a_fresh_model(tmp_path):
    trained = fitted(regression(mlp(), metrics=tg.metrics.Mean()))
    trained.save(tmp_path / "model")
    fresh = regression(mlp(seed=9), metrics=tg.metrics.Mean(), seed=7)
    loaded = fresh.load(tmp_path / "model")
    assert identical(
        arrays(loaded.states.update(metrics_states=None)), arrays(trained.states.update(metrics_states=None))
    )
    assert identical(loaded.predict(X), trained.predict(X))
    assert not fresh.initialized and identical(arrays(fresh.module), arrays(mlp(seed=9)))
    assert loaded.states.metrics_states is None


def test_continued_training_equals_uninterrupted_training(tmp_path):
    through, history = regression(Noisy(linear())).fit(X, Y, batch_size=4, epochs=4, verbose=0)
    half, first = regression(Noisy(linear())).fit(X, Y, batch_size=4, epochs=2, verbose=0)
    half.save(tmp_path)
    loaded = regression(Noisy(linear(seed=5)), seed=1).load(tmp_path)
    rest, second = loaded.fit(X, Y, batch_size=4, epochs=4, initial_epoch=2, verbose=0)
    assert identical(arrays(rest.states), arrays(through.states))
    assert first.history["loss"] + second.history["loss"] == history.history["loss"]
    assert second.epoch == [2, 3]


def test_load_into_a_model_that_was_used(tmp_path):
    trained = fitted(regression())
    trained.save(tmp_path)
    used, _ = regression(linear(seed=2)).train_on_batch(X, Y)
    used, _ = used.test_on_batch(X, Y)
    loaded = used.load(tmp_path)
    assert identical(arrays(loaded.module), arrays(trained.module))
    assert int(loaded.states.step) == 3


class Own(tg.Model):
    """Makes its parameters in a step."""

    def test_step(self, x, y_true, states, initializing):
        if initializing:
            states = states.update(net_params={"w": jnp.zeros((x.shape[1], 2)), "b": jnp.zeros(2)}, seen=0)
        y_pred = x @ states.net_params["w"] + states.net_params["b"][None]
        loss = jnp.mean((y_pred - y_true) ** 2)
        return loss, {"loss": loss}, states.update(seen=states.seen + 1)


class Bare(tg.Model):
    """Makes its parameters in a step, and adds no other fields."""

    def pred_step(self, x, states, initializing):
        if initializing:
            states = states.update(net_params={"w": jnp.ones((x.shape[1], 2)), "rest": [(jnp.ones(1), None)]})
        return x @ states.net_params["w"], states


def test_save_and_load_of_a_model_without_a_module(tmp_path):
    initialized = Bare(loss=tg.losses.MeanSquaredError()).init(X, Y)
    initialized.save(tmp_path)
    loaded = Bare(loss=tg.losses.MeanSquaredError(), seed=5).load(tmp_path)
    assert loaded.initialized and identical(arrays(loaded.parameters), arrays(initialized.parameters))
    assert loaded.evaluate(X, Y, verbose=0) == initialized.evaluate(X, Y, verbose=0)


def test_save_and_load_of_what_the_file_alone_cannot_rebuild(tmp_path):
    def make() -> tg.Model[Any]:
        return Own(optimizer=optax.sgd(0.1, momentum=0.9))

    trained, _ = make().fit(X, Y, batch_size=4, verbose=0)
    trained.save(tmp_path)
    with pytest.raises(tg.CheckpointError, match=r"call `model.init\(x, y\)` first"):
        make().load(tmp_path)
    loaded = make().init(X, Y).load(tmp_path)
    assert identical(arrays(loaded.states), arrays(trained.states))


def test_load_another_architecture(tmp_path):
    trained = fitted(regression(mlp()))
    trained.save(tmp_path)
    for module in (mlp(depth=2), linear()):
        model = regression(module)
        before = jax.tree.map(np.array, arrays(model.module))
        with pytest.raises(tg.CheckpointError, match="belongs to another architecture:\n.*net_params"):
            model.load(tmp_path)
        assert identical(jax.tree.map(np.array, arrays(model.module)), before)
    with pytest.raises(tg.CheckpointError, match="optimizer_states"):
        regression(mlp(), optimizer=optax.sgd(0.1)).load(tmp_path)


@pytest.mark.standard_promotion  # `eqx.nn.BatchNorm` counts in integers
def test_load_of_a_module_with_state(tmp_path):
    def make(seed: int) -> tg.Model[Any]:
        module, state = eqx.nn.make_with_state(Normed)(jax.random.key(seed))
        return regression(module, state=state)

    trained = fitted(make(0))
    trained.save(tmp_path)
    loaded = make(1).load(tmp_path)
    assert identical(loaded.predict(X), trained.predict(X))
    assert identical(arrays(fitted(loaded).states), arrays(fitted(trained).states))


class Normed(eqx.Module):
    norm: eqx.nn.BatchNorm
    linear: eqx.nn.Linear

    def __init__(self, key: Any):
        self.norm = eqx.nn.BatchNorm(3, "batch", mode="batch")
        self.linear = eqx.nn.Linear(3, 2, key=key)

    def __call__(self, x, state):
        x, state = self.norm(x, state)
        return self.linear(x), state


@pytest.mark.standard_promotion  # `eqx.nn.BatchNorm` counts in integers
def test_state_of_a_module():
    module, state = eqx.nn.make_with_state(Normed)(jax.random.key(0))
    model = regression(module, state=state)
    before = jax.tree.map(np.array, arrays(state))
    trained = fitted(model)
    assert identical(jax.tree.map(np.array, arrays(model.state)), before), "the user's own state is left alone"
    assert not identical(jax.tree.map(np.array, arrays(trained.state)), before)
    assert identical(arrays(trained.state), arrays(trained.states.state))
    assert identical(arrays(trained.states), arrays(fitted(model).states))
    evaluated, _ = trained.test_on_batch(X, Y)
    assert identical(arrays(evaluated.state), arrays(trained.state)), "evaluating changes no running statistics"
    outputs, _ = jax.vmap(
        eqx.nn.inference_mode(trained.module), axis_name="batch", in_axes=(0, None), out_axes=(0, None)
    )(X, jax.tree.map(lambda leaf: leaf, trained.state))
    assert np.allclose(trained.predict(X), outputs, atol=1e-6)


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
    again, anew = evaluated.reset_metrics().test_on_batch(X[:3], Y[:3])
    assert float(anew["loss"]) == float(first["loss"])
    assert int(again.states.step) == 0


def test_evaluate_and_fit_leave_no_metrics_behind():
    model, _ = regression(metrics=tg.metrics.Mean()).test_on_batch(X, Y)
    model.evaluate(X[:3], Y[:3], verbose=0)
    assert model.states.metrics_states is not None
    assert fitted(model).states.metrics_states is None
    assert tg.Model().reset_metrics().states.metrics_states is None
