"""Wrong data, targets and weights, and what users are told."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import treegy as tg
from helpers.wrong_uses import LABELS, ONES, X, Y, fit, linear, named, refused, regression


def classification(**fields: Any) -> tg.Model[Any]:
    return regression(linear(3), loss=tg.losses.SparseCategoricalCrossentropy(from_logits=True), **fields)


class Frame:
    """What data frames have in common."""

    def __init__(self, values: Any):
        self.values = values

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self.values


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


# Shapes and dtypes of targets


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
