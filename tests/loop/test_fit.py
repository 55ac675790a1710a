"""`fit`, `evaluate` and `predict` against a loop written by hand, and against the same data cut otherwise."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import treegy as tg
from helpers import Node, Record, numbers

N = 22
X, Y, WEIGHT = numbers(N, 3), numbers(N, 2, seed=1), np.random.default_rng(2).uniform(0, 2, N).astype("f4")
WEIGHT[4] = 0


def mlp(seed: int = 0) -> eqx.nn.MLP:
    return eqx.nn.MLP(3, 2, 5, 1, key=jax.random.key(seed))


# One object, so that tests share compiled programs.
SGD = optax.sgd(0.05, momentum=0.9)


def regression(**fields: Any) -> tg.Model[Any]:
    fields = {"loss": tg.losses.MeanSquaredError(), "optimizer": SGD, **fields}
    return tg.Model(mlp(), **fields)


def fit(model: tg.Model[Any], *data: Any, **arguments: Any) -> tuple[tg.Model[Any], tg.History]:
    return model.fit(*(data or (X, Y)), **{"batch_size": 5, "verbose": 0, **arguments})


def same_bits(a: Any, b: Any) -> bool:
    return [bits(leaf) for leaf in jax.tree.leaves(a)] == [bits(leaf) for leaf in jax.tree.leaves(b)]


def bits(leaf: Any) -> Any:
    if not eqx.is_array(leaf):
        return None
    is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return leaf.shape, leaf.dtype, np.asarray(jax.random.key_data(leaf) if is_key else leaf).tobytes()


def orders(**arguments: Any) -> list[list[int]]:
    """Which examples the steps of a run see."""
    seen: list[list[int]] = []

    class Telling(tg.Model):
        def train_step(self, x, states, initializing):
            if not initializing:
                seen.append(np.asarray(x).astype(int).tolist())
            return {"loss": 0.0}, states

        def test_step(self, states):
            return 0.0, {"loss": 0.0}, states

    n = arguments.pop("n", N)
    model = arguments.pop("model", None) or Telling(run_eagerly=True, seed=arguments.pop("seed", 42))
    x = np.arange(n, dtype=np.float32)
    settings: dict[str, Any] = {"batch_size": 5, "verbose": 0, **arguments}
    model, _ = model.fit(x, **settings)
    return seen


# Against a loop written by hand


@eqx.filter_jit
def hand_step(net: Any, state: Any, optimizer: Any, x: Any, y: Any, w: Any) -> Any:
    def loss(net):
        values = jnp.mean((jax.vmap(net)(x) - y) ** 2, axis=-1)
        return jnp.mean(values * w)

    value, grads = eqx.filter_value_and_grad(loss)(net)
    updates, state = optimizer.update(grads, state, eqx.filter(net, eqx.is_inexact_array))
    return eqx.apply_updates(net, updates), state, value


def by_hand(
    net: Any, optimizer: Any, batches: list[list[int]], epochs: int, weight: np.ndarray
) -> tuple[Any, list[float]]:
    """The trained network and the loss of every epoch, exact over its examples."""
    state = optimizer.init(eqx.filter(net, eqx.is_inexact_array))
    losses = []
    per_epoch = len(batches) // epochs
    for epoch in range(epochs):
        total = 0.0
        chosen = batches[epoch * per_epoch : (epoch + 1) * per_epoch]
        for batch in chosen:
            net, state, value = hand_step(net, state, optimizer, X[batch], Y[batch], weight[batch])
            total += float(value) * len(batch)
        losses.append(total / sum(map(len, chosen)))
    return net, losses


OPTIMIZERS = {
    "sgd": optax.sgd(0.1),
    "momentum": SGD,
    "adam": optax.adam(1e-2),
    "clipped": optax.chain(optax.clip_by_global_norm(0.1), optax.adamw(1e-2, weight_decay=0.1)),
    "schedule": optax.sgd(optax.linear_schedule(0.1, 0.0, 10)),
}


@pytest.mark.standard_promotion
@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
def test_like_a_loop_by_hand(optimizer):
    epochs = 3
    batches = orders(epochs=epochs)
    assert [len(batch) for batch in batches] == [5, 5, 5, 5, 2] * epochs
    net, losses = by_hand(mlp(), optimizer, batches, epochs, np.ones(N, "f4"))
    trained, history = fit(regression(optimizer=optimizer), epochs=epochs)
    assert history.history["loss"] == pytest.approx(losses, rel=1e-5)
    for mine, theirs in zip(
        jax.tree.leaves(eqx.filter(trained.module, eqx.is_array)),
        jax.tree.leaves(eqx.filter(net, eqx.is_array)),
        strict=True,
    ):
        assert np.allclose(mine, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "arguments",
    [
        dict(sample_weight=WEIGHT),
        dict(shuffle=False),
        dict(drop_remainder=True),
        dict(steps_per_epoch=2),
        dict(batch_size=N),
        dict(batch_size=100),
        dict(batch_size=1),
        dict(steps_per_execution=2),
        dict(initial_epoch=1),
    ],
    ids=lambda arguments: next(iter(arguments)),
)
def test_like_a_loop_by_hand_with(arguments):
    epochs = 2
    given: dict[str, Any] = {"batch_size": 5, **arguments}
    ran = epochs - given.get("initial_epoch", 0)
    batches = orders(epochs=epochs, **{k: v for k, v in given.items() if k != "sample_weight"})
    weight = given.get("sample_weight", np.ones(N, "f4"))
    net, losses = by_hand(mlp(), OPTIMIZERS["momentum"], batches, ran, weight)
    trained, history = fit(regression(), epochs=epochs, **given)
    assert history.history["loss"] == pytest.approx(losses, rel=1e-5)
    assert np.allclose(trained.module.layers[0].weight, net.layers[0].weight, rtol=1e-4, atol=1e-6)


def test_it_learns():
    x = numbers(200, 3)
    y = np.stack([x.sum(-1), x[:, 0]], axis=-1)
    trained, history = fit(regression(), x, y, epochs=40, batch_size=20)
    assert history["loss"][-1] < 0.1 * history["loss"][0]
    assert trained.evaluate(x, y, verbose=0)["loss"] == pytest.approx(history["loss"][-1], rel=0.2)


# The order of the examples


def epochs_of(seen: list[list[int]], epochs: int) -> list[list[int]]:
    n = len(seen) // epochs
    return [[i for batch in seen[e * n : (e + 1) * n] for i in batch] for e in range(epochs)]


def test_each_epoch_sees_every_example_once_in_an_order_of_its_own():
    found = epochs_of(orders(epochs=4), 4)
    assert all(sorted(epoch) == list(range(N)) for epoch in found)
    assert len({tuple(epoch) for epoch in found}) == 4
    assert list(range(N)) not in found


def test_the_order_follows_from_the_seed():
    assert orders(epochs=2) == orders(epochs=2)
    assert orders(epochs=2) != orders(epochs=2, seed=1)
    assert orders(epochs=1) == orders(epochs=2)[:5]
    state = np.random.get_state()
    np.random.seed(0)
    assert orders(epochs=2) == orders(epochs=2)
    np.random.set_state(state)


def test_without_shuffling():
    assert epochs_of(orders(epochs=2, shuffle=False), 2) == [list(range(N))] * 2


def test_drop_remainder_drops_other_examples_in_each_epoch():
    found = epochs_of(orders(epochs=6, drop_remainder=True), 6)
    assert [len(set(epoch)) for epoch in found] == [20] * 6
    assert len({frozenset(epoch) for epoch in found}) > 1


def test_steps_per_epoch_looks_at_that_many():
    found = orders(epochs=3, steps_per_epoch=2)
    assert [len(batch) for batch in found] == [5, 5, 5, 5, 2, 5]
    assert len({tuple(batch) for batch in found}) == 6
    assert [len(batch) for batch in orders(steps_per_epoch=5)] == [5, 5, 5, 5, 2]


@pytest.mark.once
@pytest.mark.parametrize("steps", [1, 2, 3, 5, 7, 12])
@pytest.mark.parametrize("shuffle", [True, False])
def test_epochs_of_a_length_of_their_own_see_what_passes_see(steps, shuffle):
    """As many steps in passes over the data, and in epochs of any length, see the same batches in the same order."""
    passes = orders(epochs=5, shuffle=shuffle)
    found = orders(epochs=-(-25 // steps), steps_per_epoch=steps, shuffle=shuffle)[:25]
    assert found == passes


def test_validation_split_takes_the_end_before_shuffling():
    found = epochs_of(orders(epochs=2, validation_split=0.25), 2)
    assert [sorted(epoch) for epoch in found] == [list(range(16))] * 2


def test_a_second_fit_goes_on():
    through, both = fit(regression(), epochs=4)
    half, first = fit(regression(), epochs=2)
    rest, second = fit(half, epochs=2)
    assert same_bits(rest, through)
    assert first["loss"] + second["loss"] == both["loss"]
    assert int(rest.states.step) == 20
    _, other = fit(regression(), epochs=2)
    assert second["loss"] != other["loss"] == first["loss"]


def test_a_fit_goes_on_from_batches():
    model, _ = regression().train_on_batch(X[:5], Y[:5])
    assert int(fit(model)[0].states.step) == 6


@pytest.mark.parametrize(
    "arguments", [dict(epochs=0), dict(epochs=3, initial_epoch=3), dict(epochs=1, initial_epoch=5)]
)
def test_no_epochs(arguments):
    model = regression()
    same, history = fit(model, **arguments)
    assert same_bits(same, model)
    assert not history and history.epoch == [] and history.history == {} and history.stopped is None


def test_initial_epoch():
    _, history = fit(regression(), epochs=5, initial_epoch=3)
    assert history.epoch == [3, 4]


# Validation


def test_validation_data():
    x, y = numbers(7, 3, seed=5), numbers(7, 2, seed=6)
    model = regression(metrics=tg.metrics.MeanAbsoluteError())
    trained, history = fit(model, validation_data=(x, y), epochs=2)
    logs = trained.evaluate(x, y, verbose=0)
    assert {name: history[f"val_{name}"][-1] for name in logs} == pytest.approx(logs, rel=1e-6)
    assert list(history) == ["loss", "mean_squared_error_loss", "mean_absolute_error"] + [
        "val_loss",
        "val_mean_squared_error_loss",
        "val_mean_absolute_error",
    ]
    alone, without = fit(model, epochs=2)
    assert same_bits(alone, trained), "validating changes no training"
    assert without["loss"] == history["loss"]


def test_validation_data_with_weights():
    trained, history = fit(regression(), validation_data=(X, Y, WEIGHT))
    assert history["val_loss"][0] == pytest.approx(trained.evaluate(X, Y, sample_weight=WEIGHT, verbose=0)["loss"])
    assert history["val_loss"][0] != pytest.approx(trained.evaluate(X, Y, verbose=0)["loss"])


def test_validation_data_without_labels():
    model = regression(loss=lambda x, y_pred: jnp.mean((x[:, :2] - y_pred) ** 2, axis=-1))
    trained, history = model.fit(X, validation_data=(X,), verbose=0)
    assert history["val_loss"][0] == pytest.approx(trained.evaluate(X, verbose=0)["loss"])


def test_validation_split():
    trained, history = fit(regression(), sample_weight=WEIGHT, validation_split=0.25)
    logs = trained.evaluate(X[16:], Y[16:], sample_weight=WEIGHT[16:], verbose=0)
    assert history["val_loss"][0] == pytest.approx(logs["loss"])
    alone, _ = fit(regression(), X[:16], Y[:16], sample_weight=WEIGHT[:16])
    assert same_bits(alone, trained)


@pytest.mark.parametrize(
    "freq, due", [(1, [0, 1, 2, 3, 4]), (2, [1, 3]), (4, [3]), ([1, 5], [0, 4]), ((2,), [1]), (9, [])]
)
def test_validation_freq(freq, due):
    _, history = fit(regression(run_eagerly=False), X, Y, epochs=5, validation_data=(X, Y), validation_freq=freq)
    values = history.history.get("val_loss", [math.nan] * 5)
    assert [i for i, value in enumerate(values) if not math.isnan(value)] == due


def test_validation_steps_and_batch_size():
    trained, history = fit(regression(), validation_data=(X, Y), validation_steps=2, validation_batch_size=4)
    assert history["val_loss"][0] == pytest.approx(trained.evaluate(X[:8], Y[:8], verbose=0)["loss"])
    trained, history = fit(regression(), validation_data=(X, Y), validation_steps=2)
    assert history["val_loss"][0] == pytest.approx(trained.evaluate(X[:10], Y[:10], verbose=0)["loss"])


# However it is chunked


class Noisy(eqx.Module):
    mlp: eqx.nn.MLP

    def __call__(self, x, key):
        return self.mlp(x + jax.random.normal(key, x.shape))


@pytest.mark.parametrize("weight", [pytest.param(None, marks=pytest.mark.once), WEIGHT])
def test_steps_per_execution_changes_not_a_bit(weight):
    def run(steps: Any) -> Any:
        model = regression(metrics=[tg.metrics.MeanAbsoluteError(), tg.metrics.Mean()]).replace(module=Noisy(mlp()))
        return fit(model, epochs=2, sample_weight=weight, validation_split=0.25, steps_per_execution=steps)

    trained, history = run(1)
    for steps in (2, 3, 100, "auto"):
        other, others = run(steps)
        assert same_bits(other, trained), steps
        assert others.history == history.history, steps


@pytest.mark.parametrize("hook", ["on_train_batch_end", "on_epoch_end", "on_test_batch_end"])
def test_callbacks_change_not_a_bit(hook):
    callback = type("Listening", (tg.callbacks.Callback,), {hook: lambda self, *_: self.model})()
    trained, history = fit(regression(), epochs=2, validation_split=0.25)
    other, others = fit(regression(), epochs=2, validation_split=0.25, callbacks=[callback])
    assert same_bits(other, trained)
    assert others.history == history.history


def test_jax_arrays_are_the_same_as_numpy():
    trained, history = fit(regression(), epochs=2, sample_weight=WEIGHT)
    other, others = fit(regression(), jnp.asarray(X), jnp.asarray(Y), epochs=2, sample_weight=jnp.asarray(WEIGHT))
    assert same_bits(other, trained)
    assert others.history == history.history


def test_arrays_of_any_layout():
    trained, _ = fit(regression(), epochs=2)
    strided = np.asfortranarray(X), np.repeat(Y, 2, axis=0)[::2]
    assert not strided[0].flags.c_contiguous and not strided[1].flags.c_contiguous
    assert same_bits(fit(regression(), *strided, epochs=2)[0], trained)
    reversed_ = X[::-1].copy()[::-1], Y[::-1].copy()[::-1]
    assert same_bits(fit(regression(), *reversed_, epochs=2)[0], trained)
    readonly = X.copy(), Y.copy()
    for array in readonly:
        array.flags.writeable = False
    assert same_bits(fit(regression(), *readonly, epochs=2)[0], trained)
    assert same_bits(fit(regression(), X.astype(">f4"), Y, epochs=2)[0], trained)


def test_eagerly_is_the_same():
    trained, history = fit(regression(), epochs=2, validation_split=0.25, sample_weight=WEIGHT)
    eager, others = fit(regression(run_eagerly=True), epochs=2, validation_split=0.25, sample_weight=WEIGHT)
    assert {k: pytest.approx(v, rel=1e-5) for k, v in history.history.items()} == others.history
    assert np.allclose(trained.module.layers[0].weight, eager.module.layers[0].weight, rtol=1e-4, atol=1e-6)
    assert np.allclose(trained.predict(X, batch_size=5), eager.predict(X, batch_size=5), rtol=1e-4, atol=1e-6)


# Callbacks


class Recorder(tg.callbacks.Callback):
    """Writes down every hook; `on` says at which of them training is to stop."""

    def __init__(self, stop_at: tuple[str, int] | None = None):
        self.calls: list[Any] = []
        self.logs: list[dict[str, Any]] = []
        self.stop_at = stop_at

    def _record(self, hook: str, *args: Any) -> None:
        self.calls.append((hook, *args[:-1]))
        self.logs.append(dict(args[-1]))
        if self.stop_at == (hook, *args[:-1]):
            self.stop()


for _hook in [name for name in vars(tg.callbacks.Callback) if name.startswith("on_")]:
    setattr(Recorder, _hook, lambda self, *args, _hook=_hook: self._record(_hook, *args))

EPOCH = [
    ("on_train_batch_begin", 0),
    ("on_train_batch_end", 0),
    ("on_train_batch_begin", 1),
    ("on_train_batch_end", 1),
]
TESTS = [("on_test_begin",), ("on_test_batch_begin", 0), ("on_test_batch_end", 0), ("on_test_end",)]


def test_hooks_of_fit():
    recorder = Recorder()
    validation = dict(validation_data=(X, Y, None), validation_batch_size=N)
    _, history = fit(regression(), X[:8], Y[:8], epochs=2, batch_size=6, callbacks=recorder, **validation)
    expected: list[Any] = [("on_train_begin",)]
    for epoch in range(2):
        expected += [("on_epoch_begin", epoch), *EPOCH, *TESTS, ("on_epoch_end", epoch)]
    assert recorder.calls == [*expected, ("on_train_end",)]
    by_call = list(zip(recorder.calls, recorder.logs, strict=True))
    for call, logs in by_call:
        assert all(type(value) is float for value in logs.values())
        if "begin" in call[0]:
            assert logs == {}
    epochs = [logs for call, logs in by_call if call[0] == "on_epoch_end"]
    assert [logs["loss"] for logs in epochs] == history["loss"]
    assert [logs["val_loss"] for logs in epochs] == history["val_loss"]
    batches = [logs["loss"] for call, logs in by_call if call[0] == "on_train_batch_end"]
    assert batches[1::2] == history["loss"], "over the epoch so far"
    assert batches[0] != batches[1]
    assert recorder.logs[-1] == epochs[-1]


def test_hooks_of_evaluate_and_predict():
    recorder = Recorder()
    logs = regression().evaluate(X, Y, batch_size=N, callbacks=[recorder], verbose=0)
    assert recorder.calls == TESTS
    assert recorder.logs[-1] == recorder.logs[-2] == logs
    recorder = Recorder()
    regression().predict(X, batch_size=12, callbacks=[recorder])
    assert recorder.calls == [
        ("on_predict_begin",),
        ("on_predict_batch_begin", 0),
        ("on_predict_batch_end", 0),
        ("on_predict_batch_begin", 1),
        ("on_predict_batch_end", 1),
        ("on_predict_end",),
    ]


def test_callbacks_are_called_in_their_order():
    seen = []

    class Named(tg.callbacks.Callback):
        def __init__(self, name: str):
            self.name = name

        def on_epoch_end(self, epoch, logs):
            seen.append(self.name)

    callbacks = (Named("a"), Named("b"))
    fit(regression(), epochs=2, callbacks=callbacks)
    assert seen == ["a", "b", "a", "b"]


@pytest.mark.parametrize(
    "stop_at, epochs, steps",
    [
        (("on_epoch_end", 1), [0, 1], 10),
        (("on_epoch_begin", 1), [0, 1], 10),
        (("on_train_batch_end", 2), [0], 3),
        (("on_train_begin",), [0], 5),
    ],
)
def test_stopping(stop_at, epochs, steps):
    # Without hooks of batches the whole epoch is run.
    listening = (
        Recorder
        if "batch" in stop_at[0]
        else type(
            "Stopping",
            (tg.callbacks.Callback,),
            {stop_at[0]: lambda self, *args: self.stop() if stop_at[1:] == args[:-1] else None},
        )
    )
    callback = listening(stop_at) if listening is Recorder else listening()
    trained, history = fit(regression(), epochs=5, callbacks=callback)
    assert history.epoch == epochs
    assert history.stopped == type(callback).__name__
    assert int(trained.states.step) == steps


def test_the_reason_of_stopping():
    class Enough(tg.callbacks.Callback):
        def on_epoch_end(self, epoch, logs):
            self.stop(f"loss {logs['loss'] > 0}")

    _, history = fit(regression(), epochs=5, callbacks=[Enough()])
    assert history.stopped == "loss True" and history.epoch == [0]
    assert fit(regression())[1].stopped is None


def test_the_model_of_a_callback():
    models = []

    class Keeping(tg.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs):
            models.append(self.model)

        def on_epoch_end(self, epoch, logs):
            models.append(self.model)

    start = regression()
    trained, _ = fit(start, epochs=3, callbacks=Keeping())
    assert same_bits(models[0].module, start.module) and same_bits(models[-1].module, trained.module)
    assert same_bits(models[1].module, models[2].module) and not same_bits(models[0].module, models[1].module)
    assert not any(
        leaf.is_deleted() for model in models for leaf in jax.tree.leaves(model) if isinstance(leaf, jax.Array)
    )
    first, _ = fit(start, epochs=1)
    assert same_bits(models[1].module, first.module)
    assert models[1].evaluate(X, Y, verbose=0) == first.evaluate(X, Y, verbose=0)


# However it is cut into batches


# Of every kind some; test_loss_and_metric_laws.py has all of them, but not through `evaluate`.
LOSSES: dict[str, Callable[..., Any]] = {
    cls.__name__: cls
    for cls in (
        *(tg.losses.MeanSquaredError, tg.losses.MeanAbsoluteError, tg.losses.Huber, tg.losses.CosineSimilarity),
        *(tg.losses.BinaryCrossentropy, tg.losses.BinaryFocalCrossentropy, tg.losses.CategoricalCrossentropy),
        *(tg.losses.SparseCategoricalCrossentropy, tg.regularizers.GlobalL1, tg.regularizers.GlobalL2),
    )
}
METRICS: dict[str, Callable[..., Any]] = {
    cls.__name__: cls
    for cls in (
        *(tg.metrics.BinaryAccuracy, tg.metrics.CategoricalAccuracy, tg.metrics.SparseCategoricalAccuracy),
        *(tg.metrics.Precision, tg.metrics.Recall, tg.metrics.BinaryIoU, tg.metrics.CategoricalHinge),
        *(tg.metrics.MeanSquaredError, tg.metrics.RootMeanSquaredError, tg.metrics.R2Score),
        tg.metrics.AUC,
    )
}
CUT, CLASSES = 56, 3
CUT_X = numbers(CUT, 3)
CUT_Y = {
    "value": numbers(CUT, 2, seed=1),
    "label": np.random.default_rng(2).integers(0, CLASSES, CUT).astype(np.int32),
    "one_hot": np.eye(CLASSES, dtype="f4")[np.random.default_rng(2).integers(0, CLASSES, CUT)],
    "binary": np.random.default_rng(3).integers(0, 2, (CUT, 2)).astype("f4"),
}
CUT_WEIGHT = np.random.default_rng(4).uniform(0, 2, CUT).astype("f4")


def outputs(x: Any, key: Any = None) -> dict[str, Any]:
    logits = jnp.stack([x[0], x[1] * x[2], jnp.sin(x[0])])
    p = jax.nn.softmax(logits)
    return {"value": x[:2] ** 2, "label": p, "one_hot": p, "binary": jax.nn.sigmoid(x[:2])}


class Scaled(eqx.Module):
    scale: jax.Array

    def __call__(self, x):
        return outputs(x * self.scale)


def kind(name: str) -> str:
    """Which output a loss or metric is about."""
    if name.startswith("Sparse"):
        return "label"
    if name.startswith("Categorical"):
        return "one_hot"
    return "binary" if name.startswith(("Binary", "Precision", "Recall", "AUC")) else "value"


def scalar(y_pred):
    return jnp.mean(y_pred["value"])


def masked(x, y_pred):
    return tg.Masked(y_pred["value"], x[:, :2] > 0)


@pytest.fixture(scope="module")
def everything() -> tg.Model[Any]:
    """A model with every loss in every reduction, and every metric."""
    losses: dict[str, Any] = {
        reduction: [make(on=kind(name), reduction=reduction) for name, make in LOSSES.items()]
        for reduction in ("sum_over_batch_size", "weighted_mean", "sum")
    }
    losses["masked"] = masked
    metrics: dict[str, Any] = {
        "all": [make(on=kind(name)) for name, make in METRICS.items()],
        "masked": masked,
    }
    return tg.Model(Scaled(jnp.ones(3)), loss=losses, metrics=metrics)


@pytest.mark.once
@pytest.mark.parametrize("weighted", [pytest.param(False, marks=pytest.mark.slow), True])
def test_figures_do_not_depend_on_how_examples_are_cut_into_batches(everything, weighted):
    weight = CUT_WEIGHT if weighted else None
    model = everything if weighted else everything.replace(metrics=[everything.metrics, scalar])
    whole = model.evaluate(CUT_X, CUT_Y, batch_size=CUT, sample_weight=weight, verbose=0)
    assert len(whole) >= 3 * len(LOSSES) + len(METRICS)
    assert not any(np.any(np.isnan(value)) for value in whole.values())
    for batch_size in (1, 32):  # the last batch of 32 is smaller
        logs = model.evaluate(CUT_X, CUT_Y, batch_size=batch_size, sample_weight=weight, verbose=0)
        assert list(logs) == list(whole)
        for name, value in whole.items():
            assert np.allclose(logs[name], value, rtol=1e-6, atol=1e-6), (name, batch_size)


@pytest.mark.once
def test_figures_of_batches_merged_by_hand(everything):
    whole = everything.evaluate(CUT_X, CUT_Y, batch_size=CUT, sample_weight=CUT_WEIGHT, verbose=0)
    model, logs = everything, {}
    for part in (slice(0, 25), slice(25, 50), slice(50, CUT)):
        y = jax.tree.map(lambda leaf, part=part: leaf[part], CUT_Y)
        model, logs = model.test_on_batch(CUT_X[part], y, CUT_WEIGHT[part])
    assert list(logs) == list(whole)
    for name, value in whole.items():
        assert np.allclose(logs[name], value, rtol=1e-6, atol=1e-6), name


@pytest.mark.once
def test_the_loss_is_that_of_its_parts(everything):
    logs = everything.evaluate(CUT_X, CUT_Y, verbose=0)
    names = [name for name in logs if name.startswith(("sum", "weighted_mean")) or name == "masked_loss"]
    parts = [v for k, v in logs.items() if k in names or (k.startswith("masked/") and "loss" in k)]
    assert logs["loss"] == pytest.approx(sum(parts), rel=1e-5)


def test_long_epochs_lose_nothing():
    n = 200_000
    x = np.full((n, 1), 0.1, np.float32)
    model = tg.Model(lambda x: x, metrics=[tg.metrics.Mean(), tg.metrics.Sum()])
    logs = model.evaluate(x, batch_size=100, verbose=0)
    assert logs["mean"] == pytest.approx(np.float64(np.float32(0.1)), rel=1e-6)
    assert logs["sum"] == pytest.approx(n * np.float64(np.float32(0.1)), rel=1e-6)


def test_steps_of_evaluate():
    model = regression()
    assert model.evaluate(X, Y, batch_size=5, steps=2, verbose=0) == pytest.approx(
        model.evaluate(X[:10], Y[:10], verbose=0)
    )
    assert model.evaluate(X, Y, batch_size=5, steps=5, verbose=0) == pytest.approx(model.evaluate(X, Y, verbose=0))


def test_what_evaluate_returns():
    def vector(y_pred):
        return tg.Mean(jnp.sum(y_pred, axis=0), y_pred.shape[0])

    logs = regression(metrics=vector).evaluate(X, Y, batch_size=5, verbose=0)
    assert type(logs["loss"]) is float
    assert isinstance(logs["vector"], np.ndarray)
    assert np.allclose(logs["vector"], np.asarray(regression().predict(X)).mean(0), atol=1e-6)


# Against scikit-learn, on real data


def test_digits():
    datasets = pytest.importorskip("sklearn.datasets")
    metrics = pytest.importorskip("sklearn.metrics")
    images, labels = datasets.load_digits(return_X_y=True)
    x, y = (images / 16).astype("f4"), labels.astype("i4")
    model = tg.Model(
        eqx.nn.MLP(64, 10, 32, 1, key=jax.random.key(0)),
        loss=tg.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=tg.metrics.SparseCategoricalAccuracy(),
        optimizer=optax.sgd(0.1, momentum=0.9),
    )
    model, history = model.fit(x[:1400], y[:1400], batch_size=64, epochs=8, verbose=0)
    logs = model.evaluate(x[1400:], y[1400:], batch_size=50, verbose=0)
    logits = np.asarray(model.predict(x[1400:], batch_size=50), np.float64)
    p = np.exp(logits - logits.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    assert logs["loss"] == pytest.approx(metrics.log_loss(y[1400:], p, labels=range(10)), rel=1e-5)
    accuracy = metrics.accuracy_score(y[1400:], p.argmax(-1))
    assert logs["sparse_categorical_accuracy"] == pytest.approx(accuracy, rel=1e-6)
    assert accuracy > 0.85 and history["sparse_categorical_accuracy"][-1] > 0.93

    even = tg.Model(
        lambda x: jax.nn.softmax(model.module(x)).reshape(5, 2).sum(0)[0],
        metrics=[tg.metrics.Precision(), tg.metrics.Recall(), tg.metrics.BinaryAccuracy()],
    )
    is_even, score = (y[1400:] % 2 == 0).astype("f4"), p.reshape(-1, 5, 2).sum(1)[:, 0]
    weight = np.random.default_rng(0).uniform(0, 1, len(is_even)).astype("f4")
    logs = even.evaluate(x[1400:], is_even, sample_weight=weight, batch_size=37, verbose=0)
    given = dict(y_true=is_even, y_pred=score > 0.5, sample_weight=weight)
    assert logs["precision"] == pytest.approx(metrics.precision_score(**given), rel=1e-5)
    assert logs["recall"] == pytest.approx(metrics.recall_score(**given), rel=1e-5)
    assert logs["binary_accuracy"] == pytest.approx(metrics.accuracy_score(**given), rel=1e-5)


# Predictions


class Pair(NamedTuple):
    a: Any
    b: Any


@pytest.mark.parametrize(
    "make", [Pair, Record, Node, lambda a, b: {"a": a, "b": b}, lambda a, b: (a, b), lambda a, b: [a, b]]
)
@pytest.mark.parametrize("batch_size", [1, 5, N, 100])
def test_structures_of_predictions(make, batch_size):
    found = tg.Model(lambda x: make(2 * x, {"sum": jnp.sum(x), "none": None})).predict(X, batch_size=batch_size)
    expected = make(2 * X, {"sum": X.sum(-1), "none": None})
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for y, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert isinstance(y, jax.Array) and y.dtype == jnp.float32
        assert np.allclose(y, other, atol=1e-6)


def test_predictions_of_any_dtype():
    module = lambda x: (x > 0, x.astype(jnp.int8), x.astype(jnp.bfloat16), jax.random.key(0))  # noqa: E731
    positive, small, half, keys = tg.Model(module).predict(X, batch_size=5)
    assert (positive.dtype, small.dtype, half.dtype) == (jnp.bool_, jnp.int8, jnp.bfloat16)
    assert keys.shape == (N,) and np.array_equal(positive, X > 0)


def test_steps_of_predict():
    assert np.allclose(regression().predict(X, batch_size=5, steps=2), regression().predict(X[:10]), atol=1e-6)


def test_predictions_without_an_axis_of_examples():
    class Whole(eqx.Module):
        def __call__(self, x):
            return {"mean": jnp.mean(x)}

    match = r"`y_pred\['mean'\]` is f32\[\] for a batch of 5: without an axis of examples in front.*`predict_on_batch`"
    with pytest.raises(tg.DataError, match=match):
        tg.Model(Whole(), batched=True).predict(X, batch_size=5)
    assert tg.Model(Whole(), batched=True).predict_on_batch(X)["mean"] == pytest.approx(X.mean())


def test_predicting_by_steps_that_are_overridden():
    class Mine(tg.Model):
        def call_pred_step(self, x, states):
            y_pred, states = self.pred_step(x=x, states=states)
            return {"y": y_pred}, states

    assert np.allclose(Mine(mlp()).predict(X, batch_size=5)["y"], tg.Model(mlp()).predict(X), atol=1e-6)


@pytest.mark.filterwarnings("ignore:Some donated buffers were not usable")
def test_what_jit_step_donates_is_never_the_users():
    class Donating(tg.Model):
        def jit_step(self, step: Any) -> Any:
            return eqx.filter_jit(step, donate="all")

    fields: dict[str, Any] = {"loss": tg.losses.MeanSquaredError(), "optimizer": OPTIMIZERS["momentum"]}
    plain, donating = tg.Model(mlp(), **fields), Donating(mlp(), **fields)
    settings: dict[str, Any] = {"batch_size": 5, "epochs": 3, "verbose": 0, "validation_split": 0.2}
    trained, expected = donating, plain
    for _ in range(2):  # what was given away in the first would be missing in the second
        trained, history = donating.fit(X, Y, **settings)
        expected, reference = plain.fit(X, Y, **settings)
        assert same_bits(trained.module, expected.module) and history.history == reference.history
    assert donating.evaluate(X, Y, verbose=0) == plain.evaluate(X, Y, verbose=0)
    assert np.array_equal(trained.predict(X, batch_size=7), expected.predict(X, batch_size=7))
