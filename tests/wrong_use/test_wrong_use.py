"""Mistakes as users make them, and what they are told: every one a `ValueError` or a `TypeError` whose text names the
argument as it was spelled, what came, what was expected, and the mend.
"""

import inspect
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jaxtyping import Array, Float

import treegy as tg
from helpers import numbers

X, Y, LABELS, ONES = numbers(20, 4), numbers(20, 2, seed=1), (np.arange(20) % 3).astype(np.int32), np.ones(20, "f4")


def linear(outputs: Any = 2) -> eqx.nn.Linear:
    return eqx.nn.Linear(4, outputs, key=jax.random.key(0))


def regression(module: Any = None, **fields: Any) -> tg.Model[Any]:
    fields = {"loss": tg.losses.MeanSquaredError(), "optimizer": optax.sgd(0.1), **fields}
    return tg.Model(linear() if module is None else module, **fields)


def classification(**fields: Any) -> tg.Model[Any]:
    return regression(linear(3), loss=tg.losses.SparseCategoricalCrossentropy(from_logits=True), **fields)


def fit(x: Any = X, y: Any = Y, *, model: Any = None, **arguments: Any) -> Any:
    return plain("fit")(regression() if model is None else model, x, y, verbose=0, **arguments)


def plain(method: str) -> Callable[..., Any]:
    """A method of `Model` without the hook under which tests run: it would refuse a wrong type by words of its own."""
    return inspect.unwrap(getattr(tg.Model, method))


class Frame:
    """What data frames have in common."""

    def __init__(self, values: Any):
        self.values = values

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self.values


def refused(error: type[Exception], match: str, do: Callable[[], Any]) -> None:
    with pytest.raises(error, match=match) as caught:
        do()
    assert isinstance(caught.value, ValueError | TypeError)


def named(cases: dict[str, Any]) -> Any:
    """Cases by the name under which pytest shows them."""
    return pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in cases.items()])


# Data


@named(
    {
        "y shorter": (lambda: fit(X, Y[:19]), "same number of examples: `x` has 20, `y` has 19"),
        "weights shorter": (
            lambda: fit(sample_weight=np.ones(3)),
            "same number of examples: `x` has 20, `y` has 20, `sample_weight` has 3",
        ),
        "a list of examples": (lambda: fit([X[0], X[1]]), r"`x\[0\]` has 4, `x\[1\]` has 4, `y` has 20"),
        "one of several inputs": (
            lambda: fit({"a": X, "b": X[:7]}),
            r"`x\['a'\]` has 20, `x\['b'\]` has 7, `y` has 20",
        ),
        "on batch": (lambda: regression().train_on_batch(X, Y[:3]), "`x` has 20, `y` has 3"),
        "weights on batch": (lambda: regression().test_on_batch(X, Y, ONES[:3]), "`sample_weight` has 3"),
        "evaluate": (lambda: regression().evaluate(X, Y[:3]), "`x` has 20, `y` has 3"),
        "init": (lambda: regression().init(X, Y[:3]), "`x` has 20, `y` has 3"),
        "validation": (
            lambda: fit(validation_data=(X, Y[:3])),
            "`validation_data: x` has 20, `validation_data: y` has 3",
        ),
        "validation weights": (
            lambda: fit(validation_data=(X, Y, np.ones(3))),
            "`validation_data: sample_weight` has 3",
        ),
    }
)
def test_different_lengths(case):
    do, match = case
    refused(tg.DataError, match, do)


@named(
    {
        "fit": lambda: fit(X[:0], Y[:0]),
        "evaluate": lambda: regression().evaluate(X[:0], Y[:0]),
        "train_on_batch": lambda: regression().train_on_batch(X[:0], Y[:0]),
    }
)
def test_no_examples(case):
    refused(tg.DataError, "there are no examples: `x` has 0, `y` has 0", case)


@named(
    {
        "fit": lambda: fit(None, None),
        "evaluate": lambda: regression().evaluate(),
        "predict": lambda: regression().predict(),
        "train_on_batch": lambda: regression().train_on_batch(),
    }
)
def test_no_data(case):
    refused(tg.DataError, "there is no data: `x`", case)


@named(
    {
        "string": ("data.csv", "`x` is the string 'data.csv'; arrays of numbers are expected"),
        "strings": (["a", "b"], r"`x\[0\]` is the string 'a'"),
        "array of strings": (np.array(["a"] * 20), r"`x` is an array of strings \(<U1\); numbers are expected"),
        "array of bytes": (np.array([b"a"] * 20), "`x` is an array of bytes"),
        "array of objects": (np.array([[1, "a"]] * 20, object), r"`x` is an array of objects \(object\)"),
        "array of dates": (np.array(["2026-01-01"] * 20, "M8[D]"), "`x` is an array of dates"),
        "frame of objects": (Frame(np.array([["a"]] * 20, object)), "`x` is an array of objects"),
        "records": (np.zeros(20, [("a", "f4")]), "`x` is an array of .*'a'.*, which JAX does not have"),
        "in a dict": ({"a": X, "b": np.array(["a"] * 20)}, r"`x\['b'\]` is an array of strings"),
        "number": (3, "`x` is the number 3, which has no axis of examples"),
        "array without axes": (np.float32(3), r"`x` is f32\[\], which has no axis of examples"),
        "ragged lists": ([[1.0, 2.0], [3.0]], "`x` is a list of numbers of different lengths"),
        "function": (lambda: X, "`x` is an instance of function"),
        "object": (object(), "`x` is an instance of object; NumPy or jax arrays are expected, in any PyTree.$"),
        "range": (range(20), "`x` is an instance of range"),
        "empty list": ([], r"`x` is \[\], which holds no arrays"),
        "empty dict": ({}, r"`x` is \{\}, which holds no arrays"),
    }
)
@pytest.mark.parametrize("on_batch", [False, True])
def test_x_is_no_data(case, on_batch):
    x, match = case
    refused(tg.DataError, match, lambda: regression().train_on_batch(x, Y) if on_batch else fit(x))


@named(
    {
        "y strings": (
            lambda: fit(X, np.array(["cat"] * 20)),
            "`y` is an array of strings .* classes as integers from 0",
        ),
        "weights by name": (lambda: fit(sample_weight="balanced"), "`sample_weight` is the string 'balanced'"),
        "one weight": (lambda: fit(sample_weight=2.0), "`sample_weight` is the number 2.0, which has no axis"),
        "validation": (lambda: fit(validation_data=(X, "y")), "`validation_data: y` is the string 'y'"),
        "predict": (lambda: regression().predict("x"), "`x` is the string 'x'"),
        "predict_on_batch": (lambda: regression().predict_on_batch("x"), "`x` is the string 'x'"),
    }
)
def test_no_data_elsewhere(case):
    do, match = case
    refused(tg.DataError, match, do)


def test_a_dataclass_that_is_no_pytree():
    import dataclasses

    @dataclasses.dataclass
    class Pair:
        a: Any

    refused(tg.DataError, "an instance of Pair; .*`jax.tree_util.register_dataclass`", lambda: fit(Pair(X)))


# Numbers


@pytest.mark.parametrize("name", ["batch_size", "steps_per_epoch", "validation_batch_size", "steps_per_execution"])
@pytest.mark.parametrize("value", [0, -1, 2.5, True, np.float32(3), [1]])
def test_counts(name, value):
    in_range = isinstance(value, int) and not isinstance(value, bool)
    error = ValueError if in_range else TypeError
    refused(error, f"`{name}` is .*at least 1", lambda: fit(**{name: value}))


@named(
    {
        "batch_size as text": (TypeError, dict(batch_size="32"), "`batch_size` is '32'; an integer of at least 1"),
        "epochs < 0": (ValueError, dict(epochs=-1), "`epochs` is -1; at least 0 is expected"),
        "epochs as float": (TypeError, dict(epochs=1.0), "`epochs` is 1.0; an integer of at least 0"),
        "epochs as text": (TypeError, dict(epochs="3"), "`epochs` is '3'"),
        "epochs None": (TypeError, dict(epochs=None), "`epochs` is None"),
        "initial_epoch": (ValueError, dict(initial_epoch=-1), "`initial_epoch` is -1"),
        "split < 0": (
            ValueError,
            dict(validation_split=-0.1),
            "`validation_split` is -0.1; a number from 0 to below 1",
        ),
        "split 1": (ValueError, dict(validation_split=1.0), "`validation_split` is 1.0"),
        "split in percent": (ValueError, dict(validation_split=20), "`validation_split` is 20"),
        "split nan": (ValueError, dict(validation_split=float("nan")), "`validation_split` is nan"),
        "split as text": (TypeError, dict(validation_split="0.2"), "`validation_split` is '0.2'"),
        "split True": (TypeError, dict(validation_split=True), "`validation_split` is True"),
        "split of all": (
            tg.DataError,
            dict(validation_split=0.99),
            "`validation_split=0.99` of 20 examples leaves none",
        ),
        "freq 0": (ValueError, dict(validation_split=0.5, validation_freq=0), "`validation_freq` is 0"),
        "freq as text": (TypeError, dict(validation_split=0.5, validation_freq="all"), "`validation_freq` is 'all'"),
        "freqs": (TypeError, dict(validation_split=0.5, validation_freq=[1, "b"]), r"`validation_freq\[1\]` is 'b'"),
        "too many validation steps": (
            ValueError,
            dict(validation_split=0.5, validation_steps=5, batch_size=4),
            "`validation_steps` is 5, and the data has 3 batches of 4",
        ),
        "execution": (TypeError, dict(steps_per_execution="fast"), "`steps_per_execution` is 'fast'; .*\"auto\""),
        "all is dropped": (
            ValueError,
            dict(drop_remainder=True),
            "`drop_remainder=True` with `batch_size=32` drops all 20 examples",
        ),
        "drop_remainder": (TypeError, dict(drop_remainder=1), "`drop_remainder` is 1; True or False"),
        "shuffle": (TypeError, dict(shuffle="batch"), "`shuffle` is 'batch'; True or False"),
        "split and data": (
            ValueError,
            dict(validation_split=0.5, validation_data=(X, Y)),
            "`validation_split` and `validation_data` are both given",
        ),
        "steps of no validation": (
            ValueError,
            dict(validation_steps=2),
            "`validation_steps` is given, and there is no",
        ),
        "batches of no validation": (ValueError, dict(validation_batch_size=2), "`validation_batch_size` is given"),
        "how often no validation": (ValueError, dict(validation_freq=2), "`validation_freq` is given, and there is no"),
    }
)
def test_numbers_of_fit(case):
    error, arguments, match = case
    refused(error, match, lambda: fit(**arguments))


@named(
    {
        "evaluate steps": (
            ValueError,
            lambda: regression().evaluate(X, Y, steps=3),
            "`steps` is 3, and the data has 1",
        ),
        "evaluate steps 0": (ValueError, lambda: regression().evaluate(X, Y, steps=0), "`steps` is 0; at least 1"),
        "evaluate batch_size": (
            TypeError,
            lambda: plain("evaluate")(regression(), X, Y, batch_size="8"),
            "`batch_size` is '8'",
        ),
        "predict steps": (
            ValueError,
            lambda: regression().predict(X, batch_size=10, steps=3),
            "`steps` is 3, .* has 2",
        ),
        "init batch_size": (ValueError, lambda: regression().init(X, Y, batch_size=-1), "`batch_size` is -1"),
        "summary depth": (ValueError, lambda: regression().summary(X, depth=0), "`depth` is 0; at least 1"),
    }
)
def test_numbers_elsewhere(case):
    error, do, match = case
    refused(error, match, do)


@pytest.mark.parametrize("verbose", [5, "loud", -1])
def test_verbose(verbose):
    refused(ValueError, "`verbose` is .*; it can be 0", lambda: regression().fit(X, Y, verbose=verbose))


@named(
    {
        "fit": (lambda: fit(batchsize=3), "unexpected keyword argument 'batchsize'"),
        "evaluate": (
            lambda: regression().evaluate(X, Y, weights=ONES),  # pyright: ignore[reportCallIssue]
            "unexpected keyword argument 'weights'",
        ),
        "model": (lambda: tg.Model(linear(), losses=None), "unexpected keyword argument 'losses'"),  # pyright: ignore
        "loss": (lambda: tg.losses.MeanSquaredError(wieght=2.0), "unexpected keyword argument 'wieght'"),  # pyright: ignore
        "batch_size by position": (lambda: regression().fit(X, Y, 32), "positional arguments"),  # pyright: ignore
        "loss by position": (lambda: tg.Model(linear(), optax.sgd(0.1)), "positional arguments"),  # pyright: ignore
        "replace": (
            lambda: regression().replace(foo=1),
            "a model has no field `foo` to replace; there are module, loss",
        ),
    }
)
def test_unknown_argument(case):
    do, match = case
    refused(TypeError, match, do)


@pytest.mark.parametrize("seed", ["a", 1.5, None, True, np.ones(3), [1], "key"])
def test_seed(seed):
    refused(TypeError, "`seed` is .*; an integer or a PRNG key is expected", lambda: regression(seed=seed))


def test_seed_several_keys():
    keys = jax.random.split(jax.random.key(0), 3)
    refused(TypeError, r"`seed` is key<fry>\[3\]; an integer or a PRNG key", lambda: regression(seed=keys))


# What a model is made of


class Shouting(tg.callbacks.Callback):
    pass


@named(
    {
        "loss a string": (lambda: regression(loss="mse"), "`loss` is the string 'mse'; expected are losses such as"),
        "loss a class": (
            lambda: regression(loss=tg.losses.MeanSquaredError),
            r"`loss` is the class `MeanSquaredError`; make an instance of it: `MeanSquaredError\(\)`",
        ),
        "loss a number": (lambda: regression(loss=3), "`loss` is 3; expected are losses"),
        "loss an array": (lambda: regression(loss=jnp.ones(3)), r"`loss` is f32\[3\]; expected are losses"),
        "loss in a list": (
            lambda: regression(loss=[tg.losses.MeanSquaredError(), "mse"]),
            r"`loss\[1\]` is the string",
        ),
        "loss in a nest": (lambda: regression(loss={"a": [3]}), r"`loss\['a'\]\[0\]` is 3"),
        "metrics a string": (
            lambda: regression(metrics="accuracy"),
            "`metrics` is the string 'accuracy'; .* metrics such",
        ),
        "metrics a class": (
            lambda: regression(metrics={"a": tg.metrics.Accuracy}),
            r"`metrics\['a'\]` is the class `Accuracy`; make an instance of it",
        ),
        "metrics None in a list": (lambda: regression(metrics=[None]), r"`metrics\[0\]` is None"),
        "optimizer a string": (lambda: regression(optimizer="adam"), "`optimizer` is 'adam'; an optax transformation"),
        "optimizer not called": (lambda: regression(optimizer=optax.adam), r"`optimizer` is `adam`; .*`adam\(...\)`"),
        "optimizer a number": (lambda: regression(optimizer=1e-3), "`optimizer` is 0.001; an optax transformation"),
        "optimizer a schedule": (
            lambda: regression(optimizer=optax.constant_schedule(0.1)),
            "an optax transformation such as .* is expected.$",
        ),
        "optimizer a state": (lambda: regression(optimizer=optax.sgd(0.1).init({})), "`optimizer` is .*EmptyState"),
        "module a class": (lambda: tg.Model(eqx.nn.Linear), r"`module` is the class `Linear`; .*`Linear\(...\)`"),
        "module with its state": (
            lambda: tg.Model(eqx.nn.make_with_state(eqx.nn.BatchNorm)(4, "batch", mode="ema")),
            r"`module` is .*make_with_state.*`Model\(module, state=state\)`",
        ),
        "state a dict": (lambda: regression(state={"a": 1}), "`state` is {'a': 1}; the `eqx.nn.State` of"),
        "batched": (lambda: regression().replace(batched="yes"), "`batched` is 'yes'; True or False"),
        "run_eagerly": (lambda: regression().replace(run_eagerly=1), "`run_eagerly` is 1; True or False"),
        "callback a class": (
            lambda: fit(callbacks=[Shouting]),
            r"`callbacks\[0\]` is the class Shouting; .*`Shouting\(\)`",
        ),
        "callbacks a class": (lambda: fit(callbacks=Shouting), r"`callbacks` is the class Shouting; .*`Shouting\(\)`"),
        "callback a function": (
            lambda: fit(callbacks=[print]),
            r"`callbacks\[0\]` is .*; an instance of `tg.callbacks",
        ),
        "callbacks a string": (lambda: fit(callbacks="early"), "`callbacks` is 'early'; a list of `tg.callbacks"),
        "weight of a loss as text": (
            lambda: tg.losses.MeanSquaredError(weight="1"),
            "`weight` is a number or a schedule, .* and got '1'",
        ),
        "weights of a loss": (
            lambda: tg.losses.MeanSquaredError(weight=ONES),
            r"`weight` is a number or a schedule, .* and got f32\[20\]",
        ),
        "on a number": (lambda: tg.losses.MeanSquaredError(on=1.5), "`on` takes a key, an index, .* and got 1.5"),
        "At": (lambda: inspect.unwrap(tg.At.__init__)(tg.At(), 1.5), "`At` takes strings and integers, and got 1.5"),
        "a loss without call": (type("Empty", (tg.Loss,), {}), "abstract class Empty .*call"),
        "a metric without call": (type("Empty", (tg.Metric,), {}), "abstract class Empty .*call"),
    }
)
def test_what_a_model_is_made_of(case):
    do, match = case
    refused(TypeError, match, do)


@named(
    {
        "none in a model": (
            lambda: regression(loss=[tg.losses.MeanSquaredError(reduction="none")]),
            r'`loss\[0\]` has `reduction="none"`, which gives no number to train on',
        ),
        "as in torch": (
            lambda: tg.losses.MeanSquaredError(reduction="mean"),
            "`reduction` is one of sum_over_batch_size, .* and got 'mean'",
        ),
    }
)
def test_reduction(case):
    do, match = case
    refused(ValueError, match, do)


@named(
    {
        "another structure": {"a": True},
        "a string": "last",
        "None": None,
        "numbers": jax.tree.map(lambda _: 1, linear()),
        "of another architecture": jax.tree.map(lambda _: True, linear(3)),
    }
)
def test_trainable_does_not_fit(case):
    refused(
        ValueError,
        "`trainable` doesn't fit the module: it is a function of a leaf, or",
        lambda: regression(trainable=case),
    )


# What is missing


def bad_name(y_true, y_prd):
    return jnp.mean((y_true - y_prd) ** 2, axis=-1)


class Two(eqx.Module):
    linear: eqx.nn.Linear

    def __call__(self, a, b):
        return self.linear(a + b)


class Stateful(eqx.Module):
    norm: eqx.nn.BatchNorm
    returns_it: bool = eqx.field(default=True, static=True)

    def __init__(self, returns_it: bool = True):
        self.norm = eqx.nn.BatchNorm(4, "batch", mode="batch")
        self.returns_it = returns_it

    def __call__(self, x, state):
        y, state = self.norm(x, state)
        return (y, state) if self.returns_it else y


class Forgetful(eqx.Module):
    """Keeps a state that differs from example to example."""

    index: eqx.nn.StateIndex

    def __init__(self):
        self.index = eqx.nn.StateIndex(jnp.zeros(4))

    def __call__(self, x, state):
        return x, state.set(self.index, x)


def two() -> Two:
    return Two(linear())


@named(
    {
        "fit": (
            tg.MissingModule,
            lambda: fit(model=tg.Model(loss=bad_name, optimizer=optax.sgd(1.0))),
            "no module to train",
        ),
        "predict": (tg.MissingModule, lambda: tg.Model().predict(X), "has no module to predict with: .*`pred_step`"),
        "evaluate": (tg.MissingModule, lambda: tg.Model(loss=bad_name).evaluate(X, Y), "has no module to predict with"),
        "a module that isn't called": (
            tg.MissingMethod,
            lambda: regression({"generator": linear()}).predict(X),
            "the module is {'generator': an instance of Linear}, which can't be called: override `pred_step`",
        ),
        "optimizer": (
            tg.MissingOptimizer,
            lambda: fit(model=regression(optimizer=None)),
            "has no optimizer .*optax.adam",
        ),
        "optimizer on batch": (
            tg.MissingOptimizer,
            lambda: regression(optimizer=None).train_on_batch(X, Y),
            "has no optimizer .*or override `train_step`",
        ),
        "no loss": (ValueError, lambda: fit(model=regression(loss=None)), "has no loss to train on: pass `loss=`"),
        "no loss in the list": (ValueError, lambda: fit(model=regression(loss=[])), "has no loss to train on"),
        "state": (
            tg.InjectionError,
            lambda: fit(model=regression(eqx.nn.make_with_state(Stateful)()[0])),
            r"(?s)`Stateful` asks for `state`.*no `eqx.nn.State`: pass .*make_with_state(?!.*Did you mean)",
        ),
        "y": (
            tg.InjectionError,
            lambda: fit(X, None),
            r"(?s)loss `mean.* asks for `y_true`.*There is no `y_true`: no `y` was given(?!.*Did you mean)",
        ),
        "x": (
            tg.InjectionError,
            lambda: regression().predict_on_batch(),
            "(?s)There is no `x`: no inputs were given(?!.*Did you mean)",
        ),
        "a name": (
            tg.InjectionError,
            lambda: fit(model=regression(loss=bad_name)),
            r"(?s)loss `bad_name_loss` \(bad_name\) asks for `y_prd`, .*signature: bad_name\(y_true, y_prd\)"
            r".*available: x = f32\[20,4\].*Did you mean `y_pred`\?",
        ),
        "a name for a metric": (
            tg.InjectionError,
            lambda: regression(metrics=lambda foo: foo).evaluate(X, Y),
            "metric `lambda` .* asks for `foo`, which is not available",
        ),
        "the names of optax": (
            tg.InjectionError,
            lambda: fit(model=regression(loss=optax.losses.squared_error)),
            r"asks for `predictions`, which is not available.\n  signature: squared_error\(predictions, targets=None\)",
        ),
    }
)
def test_missing(case):
    error, do, match = case
    refused(error, match, do)


@named(
    {
        "a tuple of two for one": (
            (X, X),
            linear(),
            r"(?s)module `Linear` takes 1 input, and `x` is a tuple of 2.*signature",
        ),
        "a tuple of one for two": (
            (X,),
            two(),
            r"(?s)module `Two` takes 2 inputs, and `x` is a tuple of 1.*\(f32\[20,4\],\)",
        ),
        "an array for two": (X, two(), "(?s)module `Two` asks for `b`.*`x` is one input and goes to `a`: pass a tuple"),
        "a list for two": ([X, X], two(), "(?s)module `Two` asks for `b`.*pass a tuple to give several, or a dict"),
        "a dict for two": ({"a": X}, two(), "(?s)module `Two` asks for `b`.*`x` is a dict, whose keys go to .*: 'a'"),
        "another key": ({"a": X, "B": X}, two(), "(?s)module `Two` asks for `b`.*the same names: 'B', 'a'"),
        "no key that fits": ({"image": X}, linear(), "(?s)module `Linear` asks for `x`.*the same names: 'image'"),
        "none taken": (X, lambda: jnp.zeros(2), "takes no input, and `x` is f32"),
    }
)
def test_inputs_that_the_module_does_not_take(case):
    x, module, match = case
    refused(tg.InjectionError, match, lambda: regression(module).predict(x))


@named(
    {
        "features": (
            TypeError,
            lambda: regression().predict(X[:, :3]),
            r"module `Linear` was called with x = f32\[3\]",
        ),
        "one example": (Exception, lambda: regression().predict(X[0]), r"module `Linear` was called with x = f32\[\]"),
    }
)
def test_an_error_in_the_module_says_what_it_was_called_with(case):
    error, do, match = case
    refused(error, match, do)


@named(
    {
        "not returned": (
            TypeError,
            lambda: Stateful(returns_it=False),
            r"`Stateful` asks for `state` and must return `\(y_pred, state\)`; it returned f32\[4\]",
        ),
        "by example": (
            ValueError,
            Forgetful,
            "`Forgetful` makes a `state` that differs from example to example.*batched=True",
        ),
    }
)
def test_state_of_a_module(case):
    error, make, match = case
    module, state = eqx.nn.make_with_state(make)()
    refused(error, match, lambda: regression(module, state=state).predict(X))


def test_a_generator_is_no_batch():
    match = "`x` is an instance of generator; NumPy or jax arrays are expected"
    refused(tg.DataError, match, lambda: regression().train_on_batch((row for row in X), Y))


# `on=`


@named(
    {
        "a key of an array": ("a", Y, "has `on='a'`, but there is no 'a' in `y_true`, which is f32"),
        "a missing key": ("a", {"b": Y}, r"has `on='a'`, but there is no 'a' in `y_true`, which is .*\. Keys: 'b'"),
        "an index out of range": (2, (Y, Y), r"has `on=2`, but there is no 2 in `y_true`, .*Keys: 0 to 1"),
        "deep": (("a", "c"), {"a": {"b": Y}}, r"has .*there is no 'c' in `y_true\['a'\]`"),
        "a name that isn't asked for": (
            {"ypred": "a"},
            Y,
            "has `on={'ypred': 'a'}`, but doesn't ask for `ypred`; it asks for y_true, y_pred. Did you mean `y_pred`",
        ),
    }
)
def test_on(case):
    on, y, match = case
    model = regression(loss=tg.losses.MeanSquaredError(on=on))
    refused(
        tg.InjectionError,
        r"loss `mean_squared_error_loss` \(MeanSquaredError.call\) " + match,
        lambda: fit(X, y, model=model),
    )


# Shapes and dtypes of targets


class Column(eqx.Module):
    """One number for each example, as `(batch,)`."""

    linear: eqx.nn.Linear

    def __call__(self, x):
        return self.linear(x)[0]


@named(
    {
        "(n,) against (n, 1)": (
            regression(linear(1)),
            Y[:, 0],
            r"`y_true` f32\[20\] and `y_pred` f32\[20,1\] must have the same shape, .*pass `y_true\[..., None\]`",
        ),
        "(n, 1) against (n,)": (
            regression(linear("scalar")),
            Y[:, :1],
            r"`y_true` f32\[20,1\] and `y_pred` f32\[20\] must have the same shape, .*pass `y_true\[..., 0\]`",
        ),
        "indices for a regression": (
            regression(linear(3)),
            LABELS,
            r"`y_true` i32\[20\] .*class indices, use the sparse.*one_hot\(y_true, 3\)",
        ),
        "one-hot for a sparse loss": (
            classification(),
            np.eye(3, dtype="f4")[LABELS],
            r"`y_true` f32\[20,3\] must hold a class index .*one-hot labels there is the categorical",
        ),
        "floats for a sparse loss": (
            classification(),
            LABELS.astype("f4"),
            r"`y_true` f32\[20\] .*of an integer dtype. Pass `y_true.astype\(jnp.int32\)`",
        ),
        "a column for a sparse loss": (
            classification(),
            LABELS[:, None],
            r"`y_true` i32\[20,1\] .*one too many. Pass `y_true\[..., 0\]`",
        ),
        "complex": (
            regression(lambda x: jax.lax.complex(x[:2], x[:2])),
            Y,
            r"`y_pred` is c64\[20,2\], and real numbers are expected",
        ),
    }
)
def test_targets(case):
    model, y, match = case
    refused(tg.ContractError, "^loss `.*_loss`.*" + match, lambda: model.evaluate(X, y, verbose=0))


def test_validation_is_looked_at_before_the_first_epoch():
    begun: list[int] = []

    class Watch(tg.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs):
            begun.append(epoch)

    do = lambda: fit(validation_data=(X, Y[:, :1]), callbacks=Watch())  # noqa: E731
    refused(tg.ContractError, r"`y_true` f32\[20,1\] and `y_pred` f32\[20,2\]", do)
    assert begun == []


@named(
    {
        "an array": X,
        "nothing": (),
        "too much": (X, Y, None, None),
        "a dict": {"x": X, "y": Y},
        "a string": "val",
        "a fraction": 0.2,
    }
)
def test_validation_data(case):
    match = r"`validation_data` is .*; a tuple `\(x, y\)` or `\(x, y, sample_weight\)` is expected"
    refused(TypeError, match, lambda: fit(validation_data=case))


# Weights


def mean_of_the_batch(y_true, y_pred):
    return jnp.mean((y_true - y_pred) ** 2)


class Largest(tg.Metric):
    def call(self, y_pred):
        return tg.Sum.of(y_pred)


@named(
    {
        "a loss of one number": (
            dict(loss=mean_of_the_batch),
            r"loss `mean_of_the_batch_loss` .* returned a scalar where `sample_weight` f32\[20\] was .*\(batch,\)",
        ),
        "a metric of one number": (
            dict(metrics=mean_of_the_batch),
            "metric `mean_of_the_batch` returned a scalar where `sample_weight` .* the weights would be lost",
        ),
        "an accumulator": (
            dict(metrics=Largest()),
            "metric `largest` .* returned an `Accumulator` without asking for `sample_weight`.* Add a parameter",
        ),
    }
)
def test_weights_that_would_be_lost(case):
    fields, match = case
    refused(tg.ContractError, match, lambda: regression(**fields).evaluate(X, Y, sample_weight=ONES, verbose=0))


@named(
    {
        "a column": (
            ONES[:, None],
            r"loss .*`sample_weight` f32\[20,1\] doesn't line up with .*Pass `sample_weight\[..., 0\]`",
        ),
        "a dict": ({"a": ONES}, r"loss .* got a `sample_weight` that is {'a': f32\[20\]}.*on={\"sample_weight\": ...}"),
    }
)
def test_weights_that_do_not_fit(case):
    weight, match = case
    refused(tg.ContractError, match, lambda: regression().evaluate(X, Y, sample_weight=weight, verbose=0))


@named(
    {
        "a class without": (
            {0: 1.0, 1: 2.0},
            "`class_weight` has no weight for class 2, which occurs in `y`.* for 0, 1",
        ),
        "a list too short": ([1.0, 2.0], "`class_weight` has no weight for class 2"),
        "names of classes": ({0: 1.0, "b": 2.0}, "`class_weight` has the key 'b'; classes are integers from 0"),
        "a negative class": ({-1: 1.0, 0: 1.0}, "`class_weight` has the key -1; classes are integers from 0"),
        "a bool": ({True: 1.0}, "`class_weight` has the key True"),
        "none": ({}, r"`class_weight` is {}; expected is a dict {class: weight}"),
        "as in scikit-learn": (
            "balanced",
            "`class_weight` is 'balanced'; expected is a dict {class: weight}, or an array",
        ),
        "text": ({0: "a"}, r"`class_weight\[0\]` is 'a'; a number is expected"),
        "a matrix": (np.ones((3, 3)), r"`class_weight` is f64\[3,3\]; one number for each class"),
        "a number": (3.0, "`class_weight` is 3.0; expected is a dict"),
    }
)
@pytest.mark.parametrize("method", ["fit", "evaluate", "train_on_batch", "test_on_batch"])
def test_class_weight(case, method):
    weight, match = case
    refused(tg.DataError, match, lambda: getattr(classification(), method)(X, LABELS, class_weight=weight))


@named(
    {
        "a negative label": (classification(), LABELS - 1, "no weight for class -1, which occurs in `y`"),
        "a regression": (regression(), Y, r"`class_weight` needs labels that are classes, .* `y` is f32\[20,2\]"),
        "a loss without labels": (
            regression(loss=lambda y_pred: jnp.mean(y_pred, axis=-1)),
            LABELS,
            "`class_weight` is given, and would be ignored: no loss asks for `y_true`",
        ),
    }
)
def test_class_weight_of_labels(case):
    model, y, match = case
    refused(tg.DataError, match, lambda: fit(X, y, model=model, class_weight={0: 1.0, 1: 1.0, 2: 1.0}))


# Steps


@named(
    {
        "pred_step": (7, r"step `pred_step` \(Mine.pred_step\) must return `\(y_pred, states\)`, and returned 7"),
        "test_step": (None, r"step `test_step` .* must return `\(loss, logs, states\)`, and returned None"),
        "grad_step": (
            (1, 2, 3),
            r"step `grad_step` .* must return `\(loss, logs, states, grads\)`, and returned \(1, 2, 3\)",
        ),
        "train_step": (7, r"step `train_step` .* must return `\(logs, states\)`, and returned 7"),
        "init_step": (7, "step `init_step` .* must return `states`; its `states` is 7, not `tg.States`"),
        "call_train_step": (7, r"step `call_train_step` .* must return `\(logs, states\)`, and returned 7"),
    }
)
def test_a_step_that_returns_the_wrong_thing(case, request):
    returned, match = case
    name = request.node.callspec.id

    def step(self, x):
        return returned

    step.__qualname__ = f"Mine.{name}"
    model = type("Mine", (tg.Model,), {name: step})(linear(), loss=bad_name, optimizer=optax.sgd(0.1))
    refused(TypeError, match, lambda: fit(model=model))


@named(
    {
        "states": ((1.0, {}, 3), "its `states` is 3, not `tg.States`"),
        "logs": ((1.0, []), r"must return `\(loss, logs, states\)`"),
        "logs, a list": ((1.0, [], tg.States()), r"its `logs` is \[\], not a dict"),
        "loss, a string": (("a", {}, tg.States()), "returned a loss that is 'a'; a scalar is expected"),
        "loss, several": ((jnp.ones(3), {}, tg.States()), r"returned a loss that is f32\[3\]; a scalar is expected"),
    }
)
def test_parts_of_what_test_step_returns(case):
    returned, match = case

    class Mine(tg.Model):
        def test_step(self, x):
            return returned

    refused(TypeError, r"step `test_step` \(.*Mine.test_step\) .*" + match, lambda: Mine(linear()).evaluate(X))


def test_a_step_that_logs_something_else():
    class Mine(tg.Model):
        def test_step(self, x, states):
            return 0.0, {"name": "mine"}, states

    match = "step `test_step` logs 'name' as 'mine'; expected are numbers, arrays and `Accumulator`s"
    refused(TypeError, match, lambda: Mine().evaluate(X))


def test_a_step_that_asks_for_something_else():
    class Mine(tg.Model):
        def pred_step(self, x, state):
            return x, state

    match = r"(?s)step `pred_step` \(.*Mine.pred_step\) asks for `state`, .*Did you mean `states`\?"
    refused(tg.InjectionError, match, lambda: Mine().predict(X))


@named(
    {
        "unknown": (lambda m: m.pred_step(x=X, state=3), "takes x, states, .*and got `state`. Did you mean `states`"),
        "too many": (lambda m: m.pred_step(X, None, False, False, 1), r"takes at most 4 arguments \(x, states, "),
        "twice": (lambda m: m.pred_step(X, x=X), "got `x` twice, by position and by name"),
    }
)
def test_calling_a_step(case):
    do, match = case
    refused(tg.InjectionError, r"step `pred_step` \(Model.pred_step\) " + match, lambda: do(regression()))


def test_a_step_that_changes_what_there_is_in_states():
    class Mine(tg.Model):
        def test_step(self, x, states):
            return 0.0, {}, states.update(count=jnp.zeros(3))

    initialized = Mine().replace(states=tg.States(step=jnp.int32(0)))
    match = r"(?s)`test_step` changed the structure of the states.*new: +states.count = f32\[3\].*when `initializing`"
    refused(ValueError, match, lambda: initialized.evaluate(X))


@named(
    {
        "shape": (jnp.zeros(2), jnp.zeros(3), r"changed `states.mine` from f32\[2\] to f32\[3\]"),
        "dtype": (jnp.zeros(2), jnp.zeros(2, jnp.int32), r"changed `states.mine` from f32\[2\] to i32\[2\]"),
        "a string": ("a", "b", "changed `states.mine` from 'a' to 'b'. A leaf that isn't an array can't change"),
    }
)
def test_a_step_that_changes_a_leaf(case):
    old, new, match = case

    class Mine(tg.Model):
        def states_step(self):
            return super().states_step().update(mine=old)

        def test_step(self, x, states, initializing):
            return 0.0, {}, states if initializing else states.update(mine=new)

    refused(ValueError, f"step `test_step` {match}", lambda: Mine().evaluate(X))


@named(
    {
        "no module": (tg.Model(loss=bad_name, optimizer=optax.sgd(0.1)), "has no module to train"),
        "nothing selected": (regression(trainable=False), "there is nothing to train.*`trainable` selects none"),
        "no parameters": (
            regression(lambda x: x[:2]),
            "there is nothing to train.*an instance of function and has none",
        ),
        "no dependence": (
            regression(loss=lambda y_true: jnp.mean(y_true**2, axis=-1)),
            "the loss doesn't depend on `net_params`",
        ),
        "stop_gradient": (
            regression(loss=lambda y_pred: jnp.mean(jax.lax.stop_gradient(y_pred), axis=-1)),
            "the loss doesn't depend on `net_params`.*`stop_gradient`",
        ),
        "a comparison": (
            regression(loss=lambda y_true, y_pred: jnp.argmax(y_pred, -1) == jnp.argmax(y_true, -1)),
            "the loss doesn't depend on `net_params`.*comparison",
        ),
    }
)
@pytest.mark.parametrize("on_batch", [False, True])
def test_nothing_to_train(case, on_batch):
    model, match = case
    refused(ValueError, match, lambda: model.train_on_batch(X, Y) if on_batch else fit(model=model))


@named(
    {
        "None": (None, "returned None; expected are values per example"),
        "a tuple": ((1.0, 2.0), r"returned \(1.0, 2.0\); expected are values per example"),
        "a string in a dict": ({"a": "b"}, "part `a`, returned 'b'"),
        "complex": (jnp.ones(20, jnp.complex64), r"returned complex values c64\[20\]; real ones are expected"),
        "too few for the weights": (
            jnp.ones(3),
            r"returned values f32\[3\] for 20 examples, and one value per example is expected",
        ),
    }
)
def test_what_a_loss_returns(case):
    returned, match = case
    model = regression(loss=lambda y_pred: returned)
    refused(tg.ContractError, "^loss `lambda_loss`.*" + match, lambda: model.evaluate(X, Y, sample_weight=ONES))


@named(
    {
        "unknown": (lambda loss: loss(Y, Y, weights=1), "`MeanSquaredError.call` doesn't ask for `weights`"),
        "near": (lambda loss: loss(Y, y_pre=Y), "doesn't ask for `y_pre`. Did you mean `y_pred`"),
        "twice": (lambda loss: loss(Y, Y, y_true=Y), "got `y_true` twice, by position and by name"),
        "too many": (lambda loss: loss(Y, Y, ONES), "takes at most 2 positional arguments, and got 3"),
        "too few": (lambda loss: loss(Y), "asks for `y_pred`, which is not available"),
    }
)
def test_calling_a_loss(case):
    do, match = case
    refused(tg.InjectionError, match, lambda: do(tg.losses.MeanSquaredError()))


# States


class Deep(eqx.Module):
    """The same leaves as `Linear`, elsewhere."""

    inner: eqx.nn.Linear

    def __call__(self, x):
        return self.inner(x)


@named(
    {
        "other shapes": (
            lambda: regression(linear(3)).states,
            r"`states` are those of another module: `module.weight` is f32\[2,4\], and in the states f32\[3,4\]",
        ),
        "another module": (
            lambda: regression(Deep(linear())).states,
            r"`module.weight` is f32\[2,4\], and in the states not there. .*`replace\(module=...\)`",
        ),
        "another optimizer": (
            lambda: regression(optimizer=optax.sgd(0.1, momentum=0.9)).init(X, Y).states,
            "`states` are those of another optimizer.*`states.update\\(optimizer_states=None\\)`",
        ),
        "not those of a module": (lambda: tg.States(a=1), "the states of a model with a module have `net_params` and"),
    }
)
def test_states_of_another_model(case):
    states, match = case
    refused(ValueError, match, lambda: regression().replace(states=states()))


def test_states_are_no_dict():
    refused(TypeError, "`states` is {'a': 1}; `tg.States` are expected", lambda: regression().replace(states={"a": 1}))


# Under a trace


@named(
    {
        "fit in jit": lambda m: eqx.filter_jit(lambda m, x, y: m.fit(x, y)[0])(m, X, Y),
        "fit in jit of nothing": lambda m: eqx.filter_jit(lambda: m.fit(X, Y, verbose=0)[0])(),
        "fit of a traced model": lambda m: eqx.filter_jit(lambda m: m.fit(X, Y, verbose=0)[0])(m),
        "fit in grad": lambda m: jax.grad(lambda scale: m.fit(X * scale, Y)[1].history["loss"][0])(1.0),
        "fit in vmap": lambda m: jax.vmap(lambda x: m.fit(x, Y))(X[None]),
        "evaluate": lambda m: eqx.filter_jit(lambda m: m.evaluate(X, Y, verbose=0))(m),
        "predict": lambda m: eqx.filter_jit(lambda m, x: m.predict(x))(m, X),
        "save": lambda m: eqx.filter_jit(lambda m: m.save("nowhere"))(m),
    }
)
def test_what_runs_python_can_not_be_traced(case):
    refused(TypeError, "traced.*Under `jit`, `vmap` or `grad` call ", lambda: case(regression()))


# Nothing global is touched


WATCHED = """
import os, random, signal, sys, threading, warnings
import numpy as np, jax, logging

def everything():
    return {
        "numpy": np.random.get_state()[1].tolist(),
        "random": random.getstate(),
        "config": {k: v for k, v in jax.config.values.items()},
        "signals": {s: signal.getsignal(s) for s in signal.valid_signals()},
        "filters": list(warnings.filters),
        "showwarning": warnings.showwarning,
        "excepthook": (sys.excepthook, threading.excepthook),
        "errors": np.geterr(),
        "print": np.get_printoptions(),
        "environ": dict(os.environ),
        "logging": (logging.root.level, list(logging.root.handlers)),
        "threads": threading.active_count(),
        "recursion": sys.getrecursionlimit(),
    }

def unchanged(before, what):
    after = everything()
    changed = [k for k in before if before[k] != after[k]]
    assert not changed, (what, {k: (before[k], after[k]) for k in changed})
"""

IMPORTS = """
import equinox, optax, jaxtyping, beartype.door, rich.console, rich.progress, rich.table  # what others do isn't ours
before = everything()
import treegy as tg
unchanged(before, "import")
"""

RUNS = """
x, y = np.ones((8, 3), np.float32), np.ones((8, 2), np.float32)
module = equinox.nn.Linear(3, 2, key=jax.random.key(0))
for verbose in (0, 1, 2, "auto"):
    model = tg.Model(module, loss=tg.losses.MeanSquaredError(), metrics=tg.metrics.Mean(), optimizer=optax.sgd(0.1))
    trained, _ = model.fit(x, y, batch_size=4, validation_data=(x, y), verbose=verbose)
    unchanged(before, "fit")
    trained.evaluate(x, y, verbose=verbose)
    unchanged(before, "evaluate")
    trained.predict(x, verbose=verbose)
    unchanged(before, "predict")
try:
    trained.fit(x, y[:3])
except ValueError:
    unchanged(before, "an error")
str(trained.summary(x, y))
unchanged(before, "summary")
"""


def test_nothing_global_is_touched():
    done = subprocess.run(
        [sys.executable, "-c", WATCHED + IMPORTS + RUNS], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_a_callback_that_raises_leaves_nothing_behind():
    class Raises(tg.callbacks.Callback):
        def on_epoch_end(self, epoch, logs):
            raise RuntimeError("mine")

    callback = Raises()
    with pytest.raises(RuntimeError, match="mine"):
        fit(callbacks=callback)
    with pytest.raises(AttributeError, match="a callback has a `model` while"):
        _ = callback.model


class Annotated(tg.Loss):
    def call(self, y_true: Float[Array, "batch d"], y_pred: Float[Array, "batch d"]) -> Float[Array, "batch"]:
        return jnp.mean((y_true - y_pred) ** 2, axis=-1)


def test_a_model_is_frozen():
    model = regression(loss=Annotated())
    with pytest.raises(AttributeError, match="loss"):
        model.loss = None
