"""Mistakes that are made more seldom, a line each, and what users are told."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import treegy as tg
from helpers.wrong_uses import LABELS, ONES, X, Y, fit, linear, named, regression

MSE = tg.losses.MeanSquaredError()
CLASSES = tg.losses.SparseCategoricalCrossentropy(from_logits=True)


class Batches:
    """Gives so many batches, again and again."""

    def __init__(self, n: int = 5):
        self.n = n

    def __iter__(self) -> Iterator[Any]:
        return iter([(X[:4], Y[:4])] * self.n)


class Grows(tg.Accumulator):
    """An accumulator whose shape depends on how often it was merged."""

    values: jax.Array

    def merge(self, other: "Grows") -> "Grows":
        return Grows(jnp.concatenate([self.values, other.values]))

    def empty(self) -> "Grows":
        return Grows(jnp.zeros(1))

    def compute(self) -> jax.Array:
        return jnp.sum(self.values)


class Growing(tg.Metric):
    def call(self, y_pred: Any) -> Any:
        return Grows(jnp.ones(1))


def masked_scalar(y_true: Any, y_pred: Any) -> Any:
    return tg.Masked(jnp.mean(y_pred - y_true), jnp.bool_(True))


def of_a(y_true: Any, y_pred: Any) -> Any:
    return y_true["a"] * y_pred[:, 0]


def stepped(**steps: Any) -> tg.Model[Any]:
    """A model of a class with these steps."""
    return type("Mine", (tg.Model,), steps)(linear(), loss=MSE, optimizer=optax.sgd(0.1))


def half(self: Any, *, states: Any, **batch: Any) -> Any:
    _, logs, states = tg.Model.test_step(self, states=states, **batch)
    return jnp.int32(1), logs, states


def twice() -> None:
    """The second batch of an evaluation logs something else."""
    count = iter(range(9))

    def test_step(self: Any, x: Any, states: Any) -> Any:
        return jnp.float32(0), {f"value {next(count)}": jnp.float32(1)}, states

    model = stepped(test_step=test_step).replace(run_eagerly=True)
    model, _ = model.test_on_batch(X)
    model.test_on_batch(X)


def in_place_of_an_array() -> None:
    def train_step(self: Any, x: Any, states: Any, initializing: bool) -> Any:
        texts = jax.tree.map(lambda _: "a", states.net_params)
        return {}, states if initializing else states.update(net_params=texts)

    stepped(train_step=train_step).train_on_batch(X)


# As type checkers would refuse it.
untyped: Any = tg
CLASSIFIER = regression(linear(3), loss=CLASSES).init(X, LABELS)
MODELS: Any = tg.stack([regression()] * 2)


@named(
    {
        # Models
        "an ensemble": (
            ValueError,
            lambda: MODELS.predict(X, ensemble="median"),
            '`ensemble` is \'median\'; "all", "mean"',
        ),
        "folds of a stack": (
            ValueError,
            lambda: untyped.cross_validate(MODELS, X, Y),
            r"`model` is a stack of models: pass one of them, such as `tg.unstack\(models\)\[0\]`",
        ),
        "weights of folds": (
            ValueError,
            lambda: untyped.cross_validate(regression(), X, Y, sample_weight=ONES[:3]),
            r"`sample_weight` is f32\[3\]; an array of shape \(20,\) is expected",
        ),
        "folds of nothing": (
            ValueError,
            lambda: untyped.cross_validate(regression(), None, Y),
            "`x` is None; arrays are expected, whose examples are put into folds",
        ),
        "a stack of distributed ones": (
            ValueError,
            lambda: untyped.stack([regression().distributed(tg.parallel.DataParallel())]),
            r"model 0 is distributed: `model.distributed\(None\)` brings it back",
        ),
        # Steps
        "states_step": (
            TypeError,
            lambda: stepped(states_step=lambda self: {}).fit(X, Y, verbose=0),
            r"`states_step` must return `tg.States`, and returned {}",
        ),
        "an integer as loss": (
            TypeError,
            lambda: fit(model=stepped(test_step=half)),
            r"step `test_step` returned a loss that is i32\[\]; a float is expected",
        ),
        "other logs on batch": (
            ValueError,
            twice,
            r"(?s)step `test_step` logged .*value .* and before value .*reset_metrics",
        ),
        "a string for an array": (
            ValueError,
            in_place_of_an_array,
            r"step `train_step` changed `states.*` from f32\[.*\] to 'a'",
        ),
        "no axis of examples": (
            tg.ContractError,
            lambda: regression().pred_step(jnp.float32(1), states=regression().init(X).states),
            r"a batch has examples along its first axis, and got f32\[\]",
        ),
        "no optimizer in a step": (
            tg.MissingOptimizer,
            lambda: regression(optimizer=None).train_step(X, Y, states=regression().init(X, Y).states),
            "has no optimizer to train with",
        ),
        # Losses and metrics
        "an accumulator that grows": (
            TypeError,
            lambda: regression(metrics=Growing()).evaluate(X, Y, batch_size=5, verbose=0),
            r"merging accumulators changed `logs.*` from f32\[1\] to f32\[2\]; an `Accumulator` keeps its shapes",
        ),
        "a mask of a scalar": (
            tg.ContractError,
            lambda: fit(model=regression(loss=masked_scalar)),
            "returned `Masked` values that are a scalar: return one value per example",
        ),
        "a schedule of a loss": (
            TypeError,
            lambda: fit(model=regression(loss=tg.losses.MeanSquaredError(weight=lambda step: "a"))),
            "the `weight` of loss .* is 'a' at this step; a number is expected",
        ),
        "a weighted loss as a metric": (
            ValueError,
            lambda: regression(metrics=tg.losses.MeanSquaredError(weight=2.0)),
            "`metrics` is a loss with `weight=2.0`, which a metric doesn't have",
        ),
        "class weights of two axes": (
            tg.DataError,
            lambda: CLASSES(jnp.asarray(LABELS), jnp.zeros((20, 3)), class_weight=jnp.ones((3, 3))),
            r"`class_weight` is f32\[3,3\]; one number for each class is expected",
        ),
        "class weights of two axes in a step": (
            tg.ContractError,
            lambda: CLASSIFIER.test_step(X, LABELS, class_weight=jnp.ones((3, 3)), states=CLASSIFIER.states),
            r"`class_weight` is f32\[3,3\]; one weight for each class is expected",
        ),
        "class weights of several outputs": (
            tg.ContractError,
            lambda: fit(y={"a": LABELS}, model=regression(loss=of_a), class_weight=np.ones(3)),
            "`class_weight` needs one array of labels: choose it with `on=`",
        ),
        "class weights of a metric": (
            tg.InjectionError,
            lambda: untyped.metrics.SparseCategoricalAccuracy()(LABELS, jnp.zeros((20, 3)), class_weight={0: 2.0}),
            "doesn't ask for `class_weight`, which weighs losses alone: pass `sample_weight`",
        ),
        "class weights without labels": (
            tg.InjectionError,
            lambda: untyped.regularizers.GlobalL2()(parameters=jnp.ones(3), class_weight={0: 2.0}),
            "asks for no `y_true`, whose labels `class_weight` weighs",
        ),
        "logits of dino": (
            tg.ContractError,
            lambda: untyped.losses.DINO()((jnp.ones(3), jnp.ones(3))),
            r"`y_pred\[0\]` \(the student\) is f32\[3\], and logits are expected: shapes like \(batch, k\)",
        ),
        "no pixels": (
            tg.ContractError,
            lambda: untyped.losses.LovaszSoftmax()(jnp.zeros(4, jnp.int32), jnp.ones((4, 3)) / 3),
            r"`y_pred` f32\[4,3\] has no axis of pixels besides the batch and the classes",
        ),
        "views of no axis": (
            tg.ContractError,
            lambda: untyped.metrics.Alignment()(y_pred=(jnp.ones(3), jnp.ones(3))),
            r"`y_pred\[0\]` is f32\[3\], and embeddings are expected",
        ),
        "no examples in pairs": (
            tg.ContractError,
            lambda: untyped.metrics.KendallCorrelation(capacity=8).call(jnp.float32(1), jnp.float32(2)),
            r"`y_pred` f32\[\] has no axis of examples",
        ),
        "classes of IoU": (
            TypeError,
            lambda: untyped.metrics.IoU(3, "1"),
            "`target_class_ids` is a list of classes from 0 to 2, at least one, and got '1'",
        ),
        # Data
        "a size of batches that come": (
            tg.DataError,
            lambda: fit(validation_data=Batches(), validation_batch_size=4),
            "`validation_batch_size` is given, and `validation_data` is .* which gives batches",
        ),
        "batches in a tuple": (
            tg.DataError,
            lambda: fit(validation_data=(Batches(), None)),
            "`validation_data` is a tuple that begins with .*: what gives batches is passed alone",
        ),
        # Optimizers
        "decay": (
            ValueError,
            lambda: untyped.with_ema(optax.sgd(0.1), 1.5),
            "`decay` is 1.5; a number from 0",
        ),
        "an average without parameters": (
            ValueError,
            lambda: untyped.with_ema(optax.sgd(0.1)).update({}, tg.with_ema(optax.sgd(0.1)).init({})),
            r"an optimizer with an average needs the parameters: `update\(grads, state, params\)`",
        ),
        "steps of an epoch": (
            ValueError,
            lambda: untyped.Optimizer(optax.sgd, lambda step, epoch: 0.1, steps_per_epoch=0),
            "`steps_per_epoch` is 0; at least 1 is expected",
        ),
        "steps of a constant": (
            ValueError,
            lambda: untyped.Optimizer(optax.sgd, 0.1, steps_per_epoch=10),
            "`steps_per_epoch` is 10, and `learning_rate` is 0.1, which is the same in every epoch",
        ),
        # Callbacks
        "a hook that is none": (
            TypeError,
            lambda: untyped.callbacks.LambdaCallback(on_epoch_end=3),
            "`on_epoch_end` is 3; a function",
        ),
        "a schedule that is none": (
            TypeError,
            lambda: untyped.callbacks.LearningRateScheduler(0.1),
            "`schedule` is 0.1; a function of the epoch is expected",
        ),
        "params": (
            TypeError,
            lambda: untyped.callbacks.TensorBoard("log", params=[1]),
            r"`params` is \[1\]; a dict is expected",
        ),
        "a threshold": (
            ValueError,
            lambda: untyped.callbacks.ModelCheckpoint("best", save_best_only=True, initial_value_threshold="low"),
            "`initial_value_threshold` is 'low'; a number is expected",
        ),
        "when to save": (
            ValueError,
            lambda: untyped.callbacks.ModelCheckpoint("best", save_freq="step"),
            "`save_freq` is 'step'; \"epoch\" or a number of steps is expected",
        ),
        "what to profile": (
            ValueError,
            lambda: untyped.callbacks.Profiler("log", steps=0),
            "`start` is .* and `steps` is 0; at least 0 and 1 are expected",
        ),
        "how often": (
            ValueError,
            lambda: untyped.callbacks.TerminateOnNaN(every=0),
            "`every` is 0; at least 1",
        ),
        "how long": (ValueError, lambda: untyped.callbacks.Timer(0), "`duration` is 0.*; a time above 0 is expected"),
        "a monitor of several values": (
            ValueError,
            lambda: MODELS.replace(metrics=tg.metrics.ConfusionMatrix(2)).fit(
                X, Y, verbose=0, callbacks=[tg.callbacks.EarlyStopping("confusion_matrix", mode="max")]
            ),
            r"`EarlyStopping\(monitor='confusion_matrix'\)`: the metric value is no scalar, but has shape",
        ),
    }
)
def test_what_is_told(case: Any):
    error, do, match = case
    with pytest.raises(error, match=match):
        do()


def test_what_a_callback_has_while_a_run_runs():
    callback = tg.callbacks.Callback()
    with pytest.raises(AttributeError, match="the model of a callback can be replaced while `fit` runs"):
        callback.model = regression()
    with pytest.raises(AttributeError, match="a callback has a `training_run` while `fit` runs"):
        _ = callback.training_run


def test_private_names_of_what_fit_returns():
    with pytest.raises(AttributeError, match="_repr_html_"):
        fit()._repr_html_  # noqa: B018
