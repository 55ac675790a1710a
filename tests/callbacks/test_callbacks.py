"""Every callback does what it says, through `fit`; what it writes is read by somebody else."""

import csv
import errno
import http.server
import json
import math
import os
import re
import threading
import time
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import helpers
import treegy as tg
from helpers import ADAM, Faked, X, Y, make_model, same
from treegy import callbacks

# Optax's Adam promotes dtypes.
pytestmark = pytest.mark.standard_promotion

BATCH = 5
INJECTED = optax.inject_hyperparams(optax.sgd)(learning_rate=0.1)


def fit(*use: Any, optimizer: Any = ADAM, **arguments: Any) -> tuple[tg.Model[Any], tg.History]:
    return helpers.fit(*use, model=make_model(optimizer), **arguments)


# The mechanism


def test_the_list_is_not_changed():
    use = [callbacks.Timer(100.0)]
    make_model().fit(X, Y, verbose=0, callbacks=use)
    assert len(use) == 1


def test_the_model_can_be_replaced():
    class Zeroing(callbacks.Callback):
        def on_epoch_end(self, epoch, logs):
            model = self.model
            self.model = model.replace(module=jax.tree.map(lambda a: a * 0 if eqx.is_array(a) else a, model.module))

    model, _ = fit(Zeroing(), epochs=2)
    assert all(not np.any(a) for a in jax.tree.leaves(eqx.filter(model.module, eqx.is_array)))


def test_a_model_of_another_structure_is_refused():
    class Growing(callbacks.Callback):
        def on_epoch_end(self, epoch, logs):
            self.model = self.model.replace(module=eqx.nn.MLP(3, 2, 6, 1, key=jax.random.key(0)))

    with pytest.raises(ValueError, match="another structure than the one that is trained"):
        fit(Growing())


def test_steps_that_were_asked_for():
    seen: list[tuple[int, float]] = []

    class Every3(callbacks.Callback):
        def next_step(self, step):
            return (step // 3 + 1) * 3

        def on_step_end(self, step, logs):
            seen.append((step, logs["loss"]))

    _, history = fit(Every3(), epochs=3)
    assert [step for step, _ in seen] == [3, 6, 9, 12]
    assert seen[-1][1] == pytest.approx(history["loss"][-1])  # step 12 is the last of epoch 3


def test_all_are_closed_whatever_happens():
    closed: list[str] = []

    class Closing(callbacks.Callback):
        def close(self):
            closed.append("one")

    class Failing(callbacks.Callback):
        def on_epoch_end(self, epoch, logs):
            raise RuntimeError("no")

        def close(self):
            closed.append("two")
            raise ValueError("and neither can it be closed")

    with pytest.raises(ValueError, match="neither"):
        fit(Closing(), Failing())
    assert sorted(closed) == ["one", "two"]


def test_exceptions_say_where():
    class Failing(callbacks.Callback):
        def on_epoch_end(self, epoch, logs):
            if epoch == 1:
                raise RuntimeError("no")

    with pytest.raises(RuntimeError) as info:
        fit(Failing())
    assert "epoch" in info.value.__notes__[0]


# Validation


def test_validation_every_so_many_steps():
    _, history = fit(validation_data=(X, Y), validation_freq=tg.Every(steps=3), epochs=3)
    assert [step for step, _ in history.validations] == [3, 6, 9, 12]
    assert history["val_loss"][-1] == history.validations[-1][1]["val_loss"]
    assert history["val_loss"][0] == history.validations[0][1]["val_loss"]


def test_validation_every_fraction():
    _, history = fit(validation_data=(X, Y), validation_freq=tg.Every(fraction=0.5), epochs=2)
    assert [step for step, _ in history.validations] == [2, 4, 6, 8]
    with pytest.raises(ValueError, match="how many steps an epoch has isn't known"):
        make_model().fit(((X, Y) for _ in range(3)), validation_data=(X, Y), validation_freq=tg.Every(fraction=0.5))


def test_validation_disturbs_nothing():
    """To the last bit, with random numbers in the module and in the loss."""

    def noisy(y_true: Any, y_pred: Any, key: Any) -> Any:
        return jnp.mean((y_true + jax.random.normal(key, y_true.shape) - y_pred) ** 2, axis=-1)

    net = eqx.nn.Sequential([eqx.nn.Linear(3, 2, key=jax.random.key(0)), eqx.nn.Dropout(0.5)])
    fresh = tg.Model(net, loss=noisy, optimizer=ADAM)
    arguments: dict[str, Any] = {"batch_size": BATCH, "epochs": 3, "verbose": 0, "steps_per_execution": 4}
    plain, history = fresh.fit(X, Y, **arguments)
    for every in (1, tg.Every(steps=1), tg.Every(fraction=0.3)):
        model, found = fresh.fit(X, Y, validation_data=(X, Y), validation_freq=every, **arguments)
        assert found["loss"] == history["loss"]
        assert same(model.states, plain.states)
        assert len(found.validations) >= 3


def test_every_is_one_of_two():
    with pytest.raises(TypeError, match="either `steps` or `fraction`"):
        tg.Every()
    with pytest.raises(ValueError, match="`fraction` is 2"):
        tg.Every(fraction=2)
    with pytest.raises(ValueError, match="`steps` is 0"):
        tg.Every(steps=0)


# Stopping


def test_early_stopping_stops_and_restores_all_of_the_best():
    models: list[Any] = []
    keeping = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: models.append(stopping.model))
    stopping = callbacks.EarlyStopping("score_loss", patience=2, restore_best_weights=True)
    model, history = fit(Faked(3.0, 1.0, 2.0, 1.5, 0.0), keeping, stopping, epochs=5)
    assert history.epoch == [0, 1, 2, 3]
    assert history.stopped is not None and history.stopped.startswith("score_loss was not better for 2 epochs")
    assert history.stopped.endswith(", 1 in epoch 2, whose model is returned")
    assert (stopping.best, stopping.best_epoch) == (1.0, 1)
    assert same(model.states.optimizer_states, models[1].states.optimizer_states)
    assert same(model.module, models[1].module)


def test_early_stopping_restores_where_training_ends_by_itself():
    stopping = callbacks.EarlyStopping("score_loss", patience=9, restore_best_weights=True)
    model, history = fit(Faked(1.0, 2.0, 3.0), stopping)
    assert history.stopped is None
    assert same(model.module, stopping.best_model.module)
    assert int(model.states.step) == 4


@pytest.mark.parametrize(
    ("values", "arguments", "epochs"),
    [
        ([1.0, 0.9, 0.89, 0.88, 0.0], {"min_delta": 0.05, "patience": 2}, 4),
        ([math.nan, math.nan, 1.0, math.nan, math.nan], {"patience": 2}, 2),
        ([5.0, 4.0, 3.0, 2.0, 1.0], {"baseline": 2.5, "patience": 3}, 3),
        ([1.0, 2.0, 3.0, 2.5, 2.4], {"patience": 1, "start_from_epoch": 2}, 5),
        ([1.0, 2.0, 2.0, 2.0, 2.0], {"mode": "max", "patience": 2}, 4),
    ],
)
def test_early_stopping_counts(values, arguments, epochs):
    _, history = fit(Faked(*values), callbacks.EarlyStopping("score_loss", **arguments), epochs=5)
    assert len(history.epoch) == epochs


@pytest.mark.parametrize(
    ("make", "args", "kwargs", "name"),
    [
        (callbacks.EarlyStopping, ("loss",), {"patience": -1}, "patience"),
        (callbacks.EarlyStopping, ("loss",), {"patience": 1.5}, "patience"),
        (callbacks.EarlyStopping, ("loss",), {"min_delta": "a"}, "min_delta"),
        (callbacks.EarlyStopping, ("loss",), {"baseline": "a"}, "baseline"),
        (callbacks.EarlyStopping, ("loss",), {"baseline": math.nan}, "baseline"),
        (callbacks.EarlyStopping, ("loss",), {"restore_best_weights": "yes"}, "restore_best_weights"),
        (callbacks.EarlyStopping, ("loss",), {"start_from_epoch": -3}, "start_from_epoch"),
        (callbacks.ReduceLROnPlateau, ("loss",), {"factor": "a"}, "factor"),
        (callbacks.ReduceLROnPlateau, ("loss",), {"patience": "a"}, "patience"),
        (callbacks.ReduceLROnPlateau, ("loss",), {"cooldown": -1}, "cooldown"),
        (callbacks.ReduceLROnPlateau, ("loss",), {"min_lr": "a"}, "min_lr"),
        (callbacks.EMA, (), {"validate": "no"}, "validate"),
        (callbacks.EMA, (), {"swap_at_end": 1}, "swap_at_end"),
        (callbacks.CSVLogger, ("log.csv",), {"separator": 3}, "separator"),
        (callbacks.CSVLogger, ("log.csv",), {"append": "yes"}, "append"),
        (tg.with_ema, (optax.sgd(0.1), "a"), {}, "decay"),
    ],
)
def test_arguments_that_nothing_could_be_made_of_are_refused_where_they_are_given(make, args, kwargs, name):
    with pytest.raises((TypeError, ValueError), match=f"[`']{name}[`']"):  # or by what checks types in tests
        make(*args, **kwargs)


def test_what_better_means_follows_from_the_name():
    assert callbacks.EarlyStopping("val_accuracy").best == -math.inf
    assert callbacks.EarlyStopping("val_mean_squared_error").best == math.inf
    with pytest.raises(ValueError, match="'val_something' is to be small or large can't be told"):
        callbacks.EarlyStopping("val_something")
    with pytest.raises(ValueError, match=r"give `mode=\"min\"` or \"max\"\. Did you mean 'val_loss'\?"):
        callbacks.EarlyStopping("val_lss")


def test_a_figure_that_is_not_there():
    with pytest.raises(
        KeyError, match="there is no metric value of that name among loss.*There is no validation: pass"
    ):
        fit(callbacks.EarlyStopping())
    with pytest.raises(KeyError, match="Did you mean 'val_loss'"):
        fit(callbacks.EarlyStopping("val_los", mode="min"), validation_data=(X, Y))
    fit(callbacks.EarlyStopping(patience=3), validation_data=(X, Y), validation_freq=2)


def test_terminate_on_nan():
    x = X.copy()
    x[7] = np.nan
    stopping = callbacks.TerminateOnNaN(every=1)
    model = make_model()
    _, history = model.fit(x, Y, batch_size=BATCH, epochs=5, shuffle=False, verbose=0, callbacks=[stopping])
    assert history.stopped == "the loss became nan by step 2: `TerminateOnNaN(explain=True)` says why"
    _, history = model.fit(x, Y, batch_size=BATCH, epochs=5, verbose=0, callbacks=[callbacks.TerminateOnNaN(100)])
    assert history.stopped == "the loss became nan in epoch 1: `TerminateOnNaN(explain=True)` says why"


def test_timer():
    timer = callbacks.Timer(0.3)
    start = time.monotonic()
    _, history = fit(timer, epochs=1_000_000)
    assert time.monotonic() - start < 30
    assert history.stopped == "the time of 0.3 s was over"
    assert timer.time_elapsed >= 0.3


# Learning rates


def test_hyperparameters_are_logged():
    _, history = fit(optimizer=optax.inject_hyperparams(optax.sgd)(learning_rate=lambda step: 0.1 / (1 + step)))
    # The rate of the last step of each epoch: steps 3, 7 and 11, counted from 0.
    np.testing.assert_allclose(history["learning_rate"], [0.1 / 4, 0.1 / 8, 0.1 / 12], rtol=1e-6)


def test_optimizer_follows_the_epoch_and_logs_lr():
    optimizer = tg.Optimizer(optax.sgd, lambda step, epoch: 0.1 * 0.5**epoch, steps_per_epoch=4)
    model, history = fit(optimizer=optimizer)
    np.testing.assert_allclose(history["lr"], [0.1, 0.05, 0.025], rtol=1e-6)
    expected, _ = fit(optimizer=optax.sgd(lambda step: 0.1 * 0.5 ** (jnp.asarray(step) // 4)))
    for a, b in zip(jax.tree.leaves(model.module), jax.tree.leaves(expected.module), strict=True):
        if eqx.is_array(a):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_optimizer_takes_what_makes_one():
    with pytest.raises(TypeError, match=r"`tg.Optimizer\(optax.adam, 1e-3\)`, not"):
        tg.Optimizer(optax.adam(1e-3), 1e-3)
    with pytest.raises(ValueError, match="needs `steps_per_epoch`"):
        tg.Optimizer(optax.adam, lambda step, epoch: 0.1)


def test_optimizer_made_for_other_epochs():
    optimizer = tg.Optimizer(optax.sgd, lambda step, epoch: 0.1, steps_per_epoch=938)
    match = "made with `steps_per_epoch=938`, and an epoch of this run has 4 steps.*steps_per_epoch=4"
    with pytest.raises(ValueError, match=match):
        fit(optimizer=optimizer)
    with pytest.raises(ValueError, match="an epoch of this run has 2 steps"):
        fit(optimizer=optimizer, steps_per_epoch=2)
    with pytest.raises(ValueError, match="an epoch of this run has 2 steps"):
        fit(optimizer=optimizer, validation_split=0.5)


@pytest.mark.parametrize("optimizer", [INJECTED, optax.chain(optax.clip(1.0), INJECTED), tg.Optimizer(optax.sgd, 0.1)])
def test_reduce_lr_on_plateau(optimizer):
    reducing = callbacks.ReduceLROnPlateau("score_loss", factor=0.5, patience=2, min_lr=0.03)
    values = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.1]
    _, history = fit(Faked(*values), reducing, optimizer=optimizer, epochs=9)
    name = "lr" if "lr" in history else "learning_rate"
    np.testing.assert_allclose(history[name], [0.1] * 3 + [0.05] * 2 + [0.03] * 4, rtol=1e-6)


def test_reduce_lr_is_what_training_uses():
    reducing = callbacks.ReduceLROnPlateau("score_loss", factor=0.0, patience=1)
    models: list[Any] = []
    keeping = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: models.append(reducing.model.module))
    fit(Faked(*[1.0] * 4), keeping, reducing, optimizer=INJECTED, epochs=4)
    assert not same(models[0], models[1]) and same(models[1], models[2]) and same(models[2], models[3])


def test_reduce_lr_waits_while_cooling_down():
    reducing = callbacks.ReduceLROnPlateau("score_loss", factor=0.5, patience=1, cooldown=2)
    _, history = fit(Faked(*[1.0] * 7), reducing, optimizer=INJECTED, epochs=7)
    np.testing.assert_allclose(history["learning_rate"], [0.1, 0.1, 0.05, 0.05, 0.025, 0.025, 0.0125], rtol=1e-6)


def test_learning_rate_scheduler():
    rates = callbacks.LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1))
    _, history = fit(rates, optimizer=INJECTED)
    np.testing.assert_allclose(history["learning_rate"], [0.1, 0.05, 0.1 / 3], rtol=1e-6)
    _, history = fit(callbacks.LearningRateScheduler(lambda epoch, lr: lr * 0.5), optimizer=INJECTED)
    np.testing.assert_allclose(history["learning_rate"], [0.05, 0.025, 0.0125], rtol=1e-6)


def test_changing_rates_compiles_nothing():
    traces: list[int] = []

    def loss(y_true: Any, y_pred: Any) -> Any:
        traces.append(1)
        return jnp.mean((y_true - y_pred) ** 2, -1)

    rates = callbacks.LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1))
    model = make_model(INJECTED).replace(loss=loss)
    model.fit(X, Y, batch_size=BATCH, epochs=4, verbose=0, callbacks=[rates])
    assert len(traces) == 1


@pytest.mark.parametrize(
    "use", [callbacks.ReduceLROnPlateau("loss"), callbacks.LearningRateScheduler(lambda epoch: 0.1)]
)
def test_a_rate_that_cannot_be_changed(use):
    with pytest.raises(ValueError, match="keeps no `learning_rate` that could be changed: make it with"):
        fit(use)
    scheduled = optax.inject_hyperparams(optax.sgd)(learning_rate=optax.linear_schedule(0.1, 0.0, 10))
    with pytest.raises(ValueError, match="`learning_rate` follows a schedule, which would set it back"):
        fit(use, optimizer=scheduled)


# Averaged parameters


def test_ema_against_numpy():
    weights: list[Any] = []

    class Keeping(callbacks.Callback):
        def on_train_batch_end(self, batch, logs):
            weights.append(np.asarray(self.model.module.layers[0].weight, np.float64))

    ema = callbacks.EMA(swap_at_end=True)
    model, history = fit(
        ema, Keeping(), optimizer=tg.with_ema(ADAM, 0.9), epochs=3, validation_data=(X, Y), steps_per_execution=1
    )
    average = np.asarray(make_model().module.layers[0].weight, np.float64)
    for t, weight in enumerate(weights, 1):
        d = min(0.9, (1 + t) / (10 + t))
        average = d * average + (1 - d) * weight
    np.testing.assert_allclose(model.module.layers[0].weight, average, rtol=1e-5, atol=1e-7)
    assert history["val_loss"][-1] == pytest.approx(model.evaluate(X, Y, verbose=0)["loss"], rel=1e-6)


def test_ema_leaves_training_alone():
    plain, _ = fit()
    model, _ = fit(callbacks.EMA(), optimizer=tg.with_ema(ADAM, 0.9), validation_data=(X, Y))
    assert same(plain.module, model.module)


def test_ema_needs_an_average():
    with pytest.raises(ValueError, match=r"wrap it, `optimizer=tg.with_ema"):
        fit(callbacks.EMA())


# What is written


def test_csv_logger(tmp_path):
    path = tmp_path / "deep" / "log.csv"
    _, history = fit(callbacks.CSVLogger(path), validation_data=(X, Y), validation_freq=2, epochs=4)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1", "2", "3"]
    assert [float(row["loss"]) for row in rows] == history["loss"]
    assert [row["val_loss"] for row in rows] == ["", repr(history["val_loss"][1]), "", repr(history["val_loss"][3])]
    fit(callbacks.CSVLogger(path, append=True), epochs=2)
    with path.open(newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["0", "1", "2", "3", "0", "1"]
    fit(callbacks.CSVLogger(path, separator=";"), epochs=1)
    with path.open(newline="") as file:
        assert len(list(csv.DictReader(file, delimiter=";"))) == 1
    with pytest.raises(tg.DataError, match="was not written with the separator ','"):
        fit(callbacks.CSVLogger(path, append=True), epochs=1)


@pytest.mark.parametrize("append", [False, True])
def test_csv_logger_goes_on(tmp_path, append):
    """The rows of the interrupted training stay, each once; of an earlier training, those that were asked for."""
    path = tmp_path / "log.csv"

    def run(*use: Any) -> tg.History:
        backup = callbacks.BackupAndRestore(tmp_path / "backup", save_freq=6)
        logger = callbacks.CSVLogger(path, append=append)
        return fit(logger, *use, backup, epochs=4, validation_data=(X, Y), validation_freq=2)[1]

    def fail(step: int, logs: Any) -> None:
        if step == 15:
            raise RuntimeError("killed")

    fit(callbacks.CSVLogger(path), epochs=2)
    with pytest.raises(RuntimeError, match="killed"):
        run(callbacks.LambdaCallback(on_step_end=fail))
    history = run()
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))[2 * append :]
    assert [row["epoch"] for row in rows] == ["0", "1", "2", "3"]
    assert [float(row["loss"]) for row in rows] == history["loss"]
    assert [row["val_loss"] for row in rows] == ["", repr(history["val_loss"][1]), "", repr(history["val_loss"][3])]


def test_csv_logger_that_cannot_write(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.warns(UserWarning, match="`CSVLogger` can't write '.*file/log.csv': File exists") as found:
        fit(callbacks.CSVLogger(tmp_path / "file" / "log.csv"))
    assert len(found) == 1
    replace, path = os.replace, tmp_path / "log.csv"

    def full(*args: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fill(epoch: int, logs: Any) -> None:
        monkeypatch.setattr(os, "replace", replace if epoch == 3 else full)

    with pytest.warns(UserWarning, match="`CSVLogger` can't write '.*log.csv': No space left on device") as found:
        _, history = fit(callbacks.LambdaCallback(on_epoch_begin=fill), callbacks.CSVLogger(path), epochs=4)
    assert len(found) == 1
    with path.open(newline="") as file:
        assert [float(row["loss"]) for row in csv.DictReader(file)] == history["loss"]


@pytest.mark.parametrize("as_json", [True, False])
def test_remote_monitor(as_json):
    received: list[Any] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            received.append((self.path, self.headers["Content-Type"], self.headers["X-Token"], body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            root = f"http://127.0.0.1:{server.server_port}"
            monitor = callbacks.RemoteMonitor(root, send_as_json=as_json, headers={"X-Token": "t"})
            _, history = fit(monitor)
        finally:
            server.shutdown()
            thread.join()
    assert len(received) == 3
    path, kind, token, body = received[-1]
    assert (path, token) == ("/publish/epoch/end/", "t")
    if not as_json:
        import urllib.parse

        assert kind == "application/x-www-form-urlencoded"
        body = urllib.parse.parse_qs(body)["data"][0]
    assert json.loads(body) == {"epoch": 2, "loss": history["loss"][-1], "mean_squared_error_loss": history["loss"][-1]}


def test_remote_monitor_warns_once():
    with pytest.warns(UserWarning, match="`RemoteMonitor` can't send to http://127.0.0.1:9/") as found:
        fit(callbacks.RemoteMonitor("http://127.0.0.1:9"))
    assert len(found) == 1


def test_lambda_callback():
    seen: list[Any] = []
    fit(
        callbacks.LambdaCallback(
            on_train_begin=lambda logs: seen.append("begin"), on_epoch_end=lambda epoch, logs: seen.append(epoch)
        )
    )
    assert seen == ["begin", 0, 1, 2]
    for every, steps in ((None, range(1, 13)), (5, [5, 10])):
        seen.clear()
        fit(callbacks.LambdaCallback(on_step_end=lambda step, logs: seen.append(step), every=every))
        assert seen == list(steps)
    with pytest.raises(ValueError, match="`every` is 0; at least 1"):
        callbacks.LambdaCallback(on_step_end=print, every=0)
    with pytest.raises(TypeError, match="`every` says how often `on_step_end` is called, which isn't given"):
        callbacks.LambdaCallback(on_epoch_end=print, every=2)
    with pytest.raises(TypeError, match="there is no hook `on_batch_end`. Did you mean `on_train_batch_end`"):
        callbacks.LambdaCallback(on_batch_end=print)


@pytest.mark.parametrize(
    "name, near",
    [
        ("on_epoch_ends", "on_epoch_end"),
        ("on_batch_end", "on_train_batch_end"),
        ("on_batch_begin", "on_train_batch_begin"),
        ("on_test_ends", "on_test_end"),
        ("on_steps_end", "on_step_end"),
    ],
)
def test_misspelt_hooks_are_refused(name: str, near: str):
    match = rf"`Mine.{name}` would never be called: there is no hook `{name}`. Did you mean `{near}`\? There are on_"
    with pytest.raises(TypeError, match=match):
        type("Mine", (callbacks.Callback,), {name: lambda self, *args: None})
    mixin = type("Mixin", (), {name: lambda self, *args: None})
    with pytest.raises(TypeError, match=match):
        type("Mine", (mixin, callbacks.EarlyStopping), {})


def test_what_is_no_hook_is_left_alone():
    names = {"on_gpu": True, "_on_epoch_ends": len, "helper": len, "on_epoch_end": lambda self, epoch, logs: None}
    type("Mine", (callbacks.Callback,), names)


@pytest.mark.parametrize("verbose", [0, 2])
def test_progbar_logger_shows_what_verbose_does(verbose, capsys):
    def shown(*use: Any, **arguments: Any) -> list[str]:
        fit(*use, validation_data=(X, Y), epochs=2, **arguments)
        return re.sub(r"[0-9.]+(s|ms|µs)\b", "", capsys.readouterr().out).splitlines()

    found = shown(callbacks.ProgbarLogger(), verbose=verbose)
    assert found == shown(verbose=1)
    assert len(found) == 2 and "val_loss" in found[1]


def test_history_is_there_while_training_goes_on():
    history = callbacks.History()
    seen: list[Any] = []
    telling = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(list(history.epoch)))
    assert (history.history, history.epoch) == ({}, [])
    for _ in range(2):
        _, found = fit(history, telling)
        assert (history.history, history.epoch) == (found.history, [0, 1, 2])
    assert seen == [[0], [0, 1], [0, 1, 2]] * 2


def test_profiler(tmp_path):
    fit(callbacks.Profiler(tmp_path, start=2, steps=3), epochs=3)
    assert list(tmp_path.rglob("*.xplane.pb"))


@pytest.mark.parametrize(("start", "steps", "expected"), [(2, 3, (2, 5)), (0, 1, (0, 1)), (10, 9, (10, 12))])
def test_profiler_of_which_steps(start, steps, expected, monkeypatch, tmp_path):
    profiler, seen = callbacks.Profiler(tmp_path, start=start, steps=steps), list[int]()
    for name in ("start_trace", "stop_trace"):
        monkeypatch.setattr(jax.profiler, name, lambda *args: seen.append(int(profiler.model.states.step)))
    fit(profiler, epochs=3)
    assert tuple(seen) == expected


def test_profiler_of_a_training_that_goes_on(monkeypatch, tmp_path):
    seen: list[int] = []

    def run(*use: Any) -> None:
        profiler = callbacks.Profiler(tmp_path, start=2, steps=2)
        record = lambda *args: seen.append(int(profiler.model.states.step))  # noqa: E731
        monkeypatch.setattr(jax.profiler, "start_trace", record)
        monkeypatch.setattr(jax.profiler, "stop_trace", record)
        fit(profiler, *use, callbacks.BackupAndRestore(tmp_path / "backup", save_freq=6), epochs=3)

    stopping = callbacks.LambdaCallback(on_step_end=lambda step, logs: stopping.stop("later", interrupt=True), every=7)
    run(stopping)
    run()
    assert seen == [2, 4, 9, 11]


# Ctrl-C


def test_ctrl_c_ends_after_the_chunk():
    import signal

    class Pressing(callbacks.Callback):
        def heartbeat(self, step):
            if step == 6:
                signal.raise_signal(signal.SIGINT)

    handler = signal.getsignal(signal.SIGINT)
    model, history = fit(Pressing(), epochs=5, steps_per_execution=2)
    assert history.stopped == "interrupted"
    assert int(model.states.step) == 6
    assert history.epoch == [0, 1]
    assert signal.getsignal(signal.SIGINT) is handler


def test_ctrl_c_twice_raises():
    import signal

    class Pressing(callbacks.Callback):
        def heartbeat(self, step):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        fit(Pressing(), epochs=5)
    assert signal.getsignal(signal.SIGINT) is handler
