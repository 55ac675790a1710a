"""Wrong arguments of models and their methods, and what users are told."""

import inspect

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import treegy as tg
from helpers.wrong_uses import ONES, X, Y, bad_name, fit, linear, named, plain, refused, regression

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
            "`reduction` is one of 'sum_over_batch_size', .* and got 'mean'",
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
        "`trainable` doesn't fit the module: it is a function of one array at a time, or",
        lambda: regression(trainable=case),
    )


# What is missing


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
            r"module `Linear` was called with x = f32\[3\], one example of the batch\.",
        ),
        "one example": (
            Exception,
            lambda: regression().predict(X[0]),
            r"module `Linear` was called with x = f32\[\], one example of the batch\.",
        ),
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
