"""What a run does when it fails, is stopped, is nested, has no end, or when nobody keeps what it returns."""

import gc
import itertools
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
import warnings
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import treegy as tg

RNG = np.random.default_rng(0)
X = RNG.normal(size=(32, 4)).astype("float32")
Y = X.sum(axis=1, keepdims=True)
SGD = optax.sgd(0.05)
MSE = tg.losses.MeanSquaredError()


def make_model(**fields: Any) -> Any:
    net = eqx.nn.MLP(4, 1, 8, 1, key=jax.random.key(0))
    given: Any = {"loss": MSE, "optimizer": SGD, **fields}
    return tg.Model(net, **given)


def fit(model: Any, *data: Any, **arguments: Any) -> Any:
    return model.fit(*(data or (X, Y)), **{"batch_size": 8, "epochs": 3, "verbose": 0, **arguments})


def same_bits(a: Any, b: Any) -> bool:
    pairs = zip(jax.tree.leaves(a.parameters), jax.tree.leaves(b.parameters), strict=True)
    return all(np.array_equal(x, y) for x, y in pairs)


class Batches:
    def __init__(self, n: int = 4):
        self.n = n

    def __iter__(self) -> Iterator[Any]:
        return ((X[8 * i : 8 * i + 8], Y[8 * i : 8 * i + 8]) for i in range(self.n))


class Sized(Batches):
    """Of another length than it says."""

    def __len__(self) -> int:
        return 5


class SizedInputs(Sized):
    def __iter__(self) -> Iterator[Any]:
        return (x for x, _ in super().__iter__())


# A run that fails


class Failing(tg.callbacks.Callback):
    def __init__(self, hook: str, after: int, error: Any = ZeroDivisionError):
        self.left, self.error = after, error
        setattr(self, hook, self.count)

    def count(self, *args: Any) -> None:
        self.left -= 1
        if self.left == 0:
            raise self.error("enough")


@pytest.mark.parametrize(
    ("hook", "after", "steps", "epochs"),
    [
        ("on_train_begin", 1, 0, 0),
        ("on_epoch_begin", 2, 4, 1),
        ("on_train_batch_begin", 6, 5, 1),
        ("on_train_batch_end", 6, 6, 1),
        ("on_epoch_end", 2, 8, 2),
        ("on_train_end", 1, 12, 3),
    ],
)
@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, SystemExit])
def test_an_error_carries_the_model_after_its_last_step(hook, after, steps, epochs, error):
    with pytest.raises(error) as info:
        fit(make_model(), callbacks=[Failing(hook, after, error)])
    model, history = tg.rescued(info.value)
    assert model.states.step == steps and len(history.epoch) == epochs
    assert tg.rescued()[0] is model
    assert (f"The model after step {steps}, and the history so far" in info.value.__notes__[-1]) is (steps > 0)
    if epochs * 4 == steps and 0 < epochs < 3:
        expected, _ = fit(make_model(), epochs=epochs)
        assert same_bits(model, expected)
        rest, _ = fit(model, epochs=3 - epochs)
        assert same_bits(rest, fit(make_model())[0]), "training resumes from it"


def test_a_loader_that_fails_loses_nothing_that_was_trained():
    def broken() -> Iterator[Any]:
        yield from itertools.islice(Batches(), 3)
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone") as info:
        fit(make_model(), broken(), batch_size=None, epochs=1)
    model, history = tg.rescued(info.value)
    expected, _ = fit(make_model(), Batches(3), batch_size=None, epochs=1)
    assert same_bits(model, expected) and not history.epoch


def test_what_was_rescued_is_forgotten_when_another_run_begins():
    with pytest.raises(ZeroDivisionError):
        fit(make_model(), callbacks=[Failing("on_epoch_end", 1)])
    tg.rescued()
    fit(make_model(), epochs=1)
    with pytest.raises(ValueError, match="no `fit` has failed in this process since the last one began"):
        tg.rescued()


def test_other_errors_carry_nothing():
    with pytest.raises(ValueError, match="ZeroDivisionError was not raised by a `fit`"):
        tg.rescued(ZeroDivisionError())


class Limited(eqx.Module):
    w: jax.Array

    def __call__(self, x):
        return eqx.error_if(self.w * x, x[0] > 2, "x must not be above 2")


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_errors_of_compiled_code_read_as_they_were_written(method, capfd):
    x = np.arange(64, dtype="float32")[:, None] / 20
    model = tg.Model(Limited(jnp.ones(1)), loss=MSE, optimizer=SGD)
    with pytest.raises(eqx.EquinoxRuntimeError) as error:
        getattr(model, method)(x, *([x] if method != "predict" else []), verbose=0)
    assert str(error.value) == "x must not be above 2"
    assert "Traceback" not in capfd.readouterr().err


# Signals


SIGTERM = """
    import os, signal, sys
    import equinox as eqx, jax, numpy as np, optax, treegy as tg

    class Term(tg.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs):
            if epoch == int(sys.argv[2]):
                os.kill(os.getpid(), signal.SIGTERM)

    x = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")
    net = eqx.nn.Linear(4, 1, key=jax.random.key(0))
    model = tg.Model(net, loss=tg.losses.MeanSquaredError(), optimizer=optax.sgd(0.05))
    before = signal.getsignal(signal.SIGTERM)
    callbacks = [Term(), *([tg.callbacks.BackupAndRestore(sys.argv[1])] if sys.argv[1] else [])]
    model, history = model.fit(x, x[:, :1], batch_size=8, epochs=4, verbose=0, callbacks=callbacks)
    assert signal.getsignal(signal.SIGTERM) is before
    print(history.stopped, len(history.epoch), np.asarray(model.module.weight).tobytes().hex())
"""


def test_sigterm_ends_a_run_that_a_backup_resumes(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SIGTERM))

    def run(directory: str, when: int) -> list[str]:
        command = [sys.executable, str(script), directory, str(when)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout.split()

    backup = str(tmp_path / "backup")
    stopped, *_ = run(backup, 2)
    assert stopped == "interrupted"
    assert run(backup, 99) == run("", 99), "bit for bit as if nothing had happened"


def test_a_second_sigterm_is_not_held_back(tmp_path):
    """Its handler is put back by the first: whoever sends it twice means it."""

    class Twice(tg.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs):
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
            os.kill(os.getpid(), signal.SIGTERM)
            self.after = signal.getsignal(signal.SIGTERM)

    _, history = fit(make_model(), callbacks=[twice := Twice()])
    assert twice.after is signal.SIG_DFL and history.stopped == "interrupted"


# Runs within runs


class Nested(tg.callbacks.Callback):
    def __init__(self, method: str):
        self.method, self.closed = method, 0

    def on_epoch_end(self, epoch, logs):
        if self.method == "evaluate":
            make_model().evaluate(X, Y, verbose=0, callbacks=[self])
        else:
            make_model().predict(X, callbacks=[self])
        self.seen = self.model
        self.stop("enough")

    def close(self):
        self.closed += 1


@pytest.mark.parametrize("method", ["evaluate", "predict"])
def test_a_callback_of_an_inner_run_keeps_its_own(method):
    nested = Nested(method)
    _, history = fit(make_model(), callbacks=[nested])
    assert history.stopped == "enough" and len(history.epoch) == 1
    assert nested.seen.states.step == 4 and nested.closed == 1
    with pytest.raises(AttributeError, match="while `fit`, `evaluate` or `predict` runs"):
        _ = nested.model


def test_after_an_inner_run_that_failed_too():
    class Trying(tg.callbacks.Callback):
        def on_epoch_end(self, epoch, logs):
            with pytest.raises(ZeroDivisionError):
                fit(make_model(), callbacks=[self, Failing("on_train_begin", 1)])
            self.stop("enough")

        def on_train_begin(self, logs): ...

    _, history = fit(make_model(), callbacks=[Trying()])
    assert history.stopped == "enough"


# Stopping


class StopAfter(tg.callbacks.Callback):
    def __init__(self, n: int):
        self.left, self.outputs = n, []

    def on_test_batch_end(self, batch, logs):
        self.left -= 1
        if not self.left:
            self.stop()

    def on_predict_batch_end(self, batch, logs):
        self.outputs.append(logs["outputs"])
        self.on_test_batch_end(batch, logs)


@pytest.mark.parametrize("n", [1, 3])
def test_evaluate_and_predict_stop(n):
    model = make_model()
    logs = model.evaluate(X, Y, batch_size=8, verbose=0, callbacks=[StopAfter(n)])
    assert logs == model.evaluate(X[: 8 * n], Y[: 8 * n], batch_size=8, verbose=0)
    stopping = StopAfter(n)
    y_pred = model.predict(X, batch_size=8, callbacks=[stopping])
    np.testing.assert_allclose(y_pred, model.predict(X)[: 8 * n], rtol=1e-5)
    assert len(stopping.outputs) == n
    np.testing.assert_array_equal(np.concatenate(stopping.outputs), y_pred)


def test_validation_is_finished_when_training_stops_in_it():
    _, history = fit(make_model(), validation_data=(X, Y), validation_batch_size=8, callbacks=[StopAfter(1)])
    assert len(history.epoch) == 1 and np.isfinite(history["val_loss"][0])
    assert history.stopped == "StopAfter"


def test_nan_can_end_a_run_with_an_error():
    loss = lambda y_pred: jnp.sqrt(y_pred[:, 0] - 1e9)  # noqa: E731
    with pytest.raises(RuntimeError, match="`TerminateOnNaN`: the loss became nan"):
        fit(make_model(loss=loss), callbacks=[tg.callbacks.TerminateOnNaN(raise_error=True)])
    _, history = fit(make_model(loss=loss), callbacks=[tg.callbacks.TerminateOnNaN()])
    assert "the loss became nan" in history.stopped


# Data that ends, or doesn't


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_the_last_epoch_that_is_too_short_is_told(epochs):
    data = itertools.islice(itertools.cycle(Batches()), 4 * (epochs - 1) + 2)
    with pytest.warns(UserWarning, match=f"the data ended in epoch {epochs} of {epochs}"):
        _, history = fit(make_model(), data, batch_size=None, steps_per_epoch=4, epochs=epochs)
    assert f"the data ended in epoch {epochs}" in history.stopped and len(history.epoch) == epochs


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict", "validation_data"])
def test_a_loader_that_gives_less_than_its_length_is_told(method):
    calls = {
        "fit": lambda: fit(make_model(), Sized(3), batch_size=None, epochs=1),
        "evaluate": lambda: make_model().evaluate(Sized(3), verbose=0),
        "predict": lambda: make_model().predict(SizedInputs(3)),
        "validation_data": lambda: fit(make_model(), validation_data=Sized(3), epochs=1),
    }
    with pytest.warns(UserWarning, match="the data has a length of 5 batches, and a pass over it gave 3"):
        calls[method]()


class Endless:
    def __iter__(self) -> Iterator[Any]:
        return itertools.cycle(Batches())

    def __len__(self) -> int:
        return sys.maxsize


@pytest.mark.parametrize("data", [Endless, lambda: itertools.cycle([(X, Y)])], ids=["by its length", "by its type"])
def test_data_without_an_end_is_refused_without_a_number_of_steps(data):
    for method, name in (("fit", "steps_per_epoch"), ("evaluate", "steps")):
        with pytest.raises(tg.DataError, match=f"the data has no end: say with `{name}` how many"):
            getattr(make_model(), method)(data(), verbose=0)
    with pytest.raises(tg.DataError, match="`validation_steps`"):
        fit(make_model(), validation_data=data())
    _, history = fit(make_model(), data(), batch_size=None, steps_per_epoch=4)
    assert len(history.epoch) == 3


def test_a_generator_that_does_not_end_is_told_after_a_while():
    def endless() -> Iterator[Any]:
        while True:
            yield X[:1], Y[:1]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match=r"has given \d{5} batches and not ended.* `steps_per_epoch`"):
            _ = make_model().fit(endless(), verbose=0)


# What is returned, and what nobody keeps


def test_what_fit_returns_can_be_read_by_name():
    fitted = fit(make_model())
    model, history = fitted
    assert fitted.model is model and fitted.history is history
    assert fitted.history["loss"] == history["loss"]


@pytest.mark.parametrize("name", ["evaluate", "predict", "fit", "module", "epoch", "plot", "nonsense"])
def test_what_it_returns_is_neither_a_model_nor_a_history(name):
    with pytest.raises(AttributeError, match=rf"no `{name}`.* Write `model, history = model.fit\(...\)`"):
        getattr(fit(make_model(), epochs=1), name)


def told(text: str, tmp_path: Path) -> list[str]:
    """What is warned of in a script of these lines."""
    # Each of a name of its own: lines are told once.
    file = tmp_path / f"script_{len(list(tmp_path.iterdir()))}.py"
    file.write_text(text)
    names = {"model": make_model(), "tg": tg, "x": X, "y": Y, "eqx": eqx, "path": str(tmp_path / "model")}
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        exec(compile(text, str(file), "exec"), names)
    assert all(w.filename == str(file) for w in found)
    return [str(w.message) for w in found]


DISCARDED = {
    "fit": "model.fit(x, y, verbose=0)",
    "replace": "model.replace(seed=1)",
    "train_on_batch": "model.train_on_batch(x, y)",
    "init": "model.init(x, y)",
    "reset_metrics": "model.reset_metrics()",
    "load": "model.load(path)",
}


@pytest.mark.parametrize("method", DISCARDED)
def test_a_result_that_nobody_keeps_is_told_once_for_each_line(method, tmp_path):
    line = DISCARDED[method]
    prepared = "model = model.init(x, y)\nmodel.save(path)\n"
    found = told(f"{prepared}for _ in range(3):\n    {line}\n", tmp_path)
    assert len(found) == 1 and f"`model.{method}(" in found[0] and f"= model.{method}(" in found[0]
    assert len(told(f"{prepared}{line}\n{line}\n", tmp_path)) == 2


@pytest.mark.parametrize("method", DISCARDED)
@pytest.mark.parametrize("kept", ["_ = {}", "print({})", "[{}]", "(lambda: {})()", "assert {} is not None", "{}; 1"])
def test_a_result_that_is_used_is_not(method, kept, tmp_path):
    if kept in ("(lambda: {})()", "{}; 1"):
        kept = "def f():\n    return {}\n_ = f()"
    line = kept.format(DISCARDED[method])
    assert told(f"model = model.init(x, y)\nmodel.save(path)\n{line}\n", tmp_path) == []


@pytest.mark.parametrize(
    "callback",
    [
        "tg.callbacks.ModelCheckpoint(path)",
        "tg.callbacks.BackupAndRestore(path)",
        "tg.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: None)",
        "Own()",
    ],
)
def test_nor_where_a_callback_may_keep_the_model(callback, tmp_path):
    own = "class Own(tg.callbacks.Callback): ...\n"
    assert told(f"{own}model.fit(x, y, verbose=0, callbacks=[{callback}])\n", tmp_path) == []
    assert len(told("model.fit(x, y, verbose=0, callbacks=[tg.callbacks.EarlyStopping('loss')])\n", tmp_path)) == 1


def test_nor_under_a_trace(tmp_path):
    text = """
model = model.init(x, y)
@eqx.filter_jit
def steps(model, x, y):
    model.train_on_batch(x, y)
    return model
_ = steps(model, x, y)
"""
    assert told(text, tmp_path) == []


def test_it_is_told_before_the_first_step(tmp_path):
    """In time to stop a run that would be in vain."""
    text = "import warnings\nwarnings.simplefilter('error')\nmodel.fit(x, y, verbose=0)\n"
    with pytest.raises(UserWarning, match="nobody keeps it") as info:
        told(text, tmp_path)
    assert not hasattr(info.value, "__notes__")


# Programs


COMPILED: list[str] = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, duration_secs, **kwargs: (
        COMPILED.append(event) if event.endswith("backend_compile_duration") else None
    )
)


def programs(call: Any) -> int:
    before = len(COMPILED)
    call()
    return len(COMPILED) - before


@pytest.mark.standard_promotion
@pytest.mark.parametrize("method", ["evaluate", "predict", "validation"])
def test_another_optimizer_compiles_nothing_that_does_not_train(method):
    def call(model: Any) -> Any:
        if method == "predict":
            return model.predict(X)
        return model.evaluate(X, Y, verbose=0)

    model, _ = fit(make_model(optimizer=optax.adam(1e-2)), validation_data=(X, Y), validation_batch_size=32)
    call(model)
    for optimizer in (optax.adam(1e-3), optax.sgd(0.1), tg.Optimizer(optax.adamw, 0.1), None):
        other = model.replace(optimizer=optimizer)
        assert programs(lambda other=other: call(other)) == 0


def test_other_losses_compile_nothing_that_predicts():
    model, _ = fit(make_model())
    model.predict(X)
    other = model.replace(loss=tg.losses.MeanAbsoluteError(), metrics=tg.metrics.MeanSquaredError())
    assert programs(lambda: other.predict(X)) == 0


@pytest.mark.standard_promotion
def test_rates_of_one_optimizer_share_programs():
    def trained(rate: float) -> Any:
        return fit(make_model(optimizer=tg.Optimizer(optax.adam, rate, b1=0.8)))[1]["lr"]

    first = programs(lambda: trained(1e-4))
    assert first > 0 and programs(lambda: trained(1e-3)) == programs(lambda: trained(1e-2)) == 0
    assert trained(1e-2) == pytest.approx([1e-2] * 3) and trained(1e-3) == pytest.approx([1e-3] * 3)


@pytest.mark.parametrize("n", [1, 31, 32, 33, 100, 1025, 2100])
def test_predictions_of_any_number_of_batches_are_in_order(n):
    x = np.arange(n, dtype="float32")[:, None]
    model = tg.Model(lambda x: {"twice": 2 * x, "index": x[0].astype(int)})
    found = model.predict(x, batch_size=1)
    np.testing.assert_array_equal(found["twice"], 2 * x)
    np.testing.assert_array_equal(found["index"], np.arange(n))


def test_putting_predictions_together_compiles_few_programs():
    model = tg.Model(lambda x: 3 * x)
    few = programs(lambda: model.predict(np.zeros((64 * 32, 1), "float32"), batch_size=1))
    many = programs(lambda: model.predict(np.zeros((1000 * 32, 1), "float32"), batch_size=1))
    assert many <= few + 4


def test_predictions_that_cannot_be_put_together_are_named():
    def batches() -> Iterator[Any]:
        return (np.ones((4, n), "float32") for n in (5, 5, 7))

    with pytest.raises(tg.DataError, match=r"`y_pred\['a'\]` has other axes .* f32\[8,5\] and f32\[4,7\]: .* Pad them"):
        with pytest.warns(tg.RetraceWarning):
            tg.Model(lambda x: {"a": x}).predict(batches())


def test_caches_can_be_cleared():
    class Big:
        value = 0.5

    def ran() -> Any:
        big = Big()

        def loss(y_pred):
            return (y_pred[:, 0] - big.value) ** 2

        model, _ = fit(make_model(loss=loss))
        model.evaluate(X, verbose=0)
        model.predict(X)
        return weakref.ref(big)

    seen = [ran() for _ in range(2)]
    tg.clear_caches()
    jax.clear_caches()
    gc.collect()
    assert [each() for each in seen] == [None, None]
    assert programs(lambda: fit(make_model())) > 0


# Times


def test_a_step_in_a_log_takes_as_long_as_a_step(capsys):
    """Neither the time of giving it to the device, nor that of compiling."""

    def slow(x):
        def sleep(x):
            time.sleep(0.02)
            return x

        return jax.pure_callback(sleep, jax.ShapeDtypeStruct(x.shape, x.dtype), x, vmap_method="expand_dims")

    class Slow(eqx.Module):
        linear: eqx.nn.Linear

        def __call__(self, x):
            return self.linear(jax.lax.stop_gradient(slow(jax.lax.stop_gradient(x))))

    model = tg.Model(Slow(eqx.nn.Linear(4, 1, key=jax.random.key(0))), loss=MSE, optimizer=SGD)
    fit(model, epochs=2, verbose=2)
    for amount, unit in re.findall(r"([\d.]+)(µs|us|ms|s)/step", capsys.readouterr().out):
        assert 0.02 <= float(amount) * {"s": 1, "ms": 1e-3}.get(unit, 1e-6)


def test_a_bar_of_some_metric_values(capsys):
    model = make_model(metrics=[tg.metrics.MeanAbsoluteError(name="mae"), tg.metrics.MeanSquaredError(name="mse")])
    fit(model, epochs=1, callbacks=[tg.callbacks.ProgbarLogger(show=["mse", "loss", "val_loss"])])
    assert re.search(r"mse \S+  loss \S+\s*$", capsys.readouterr().out.strip())
    with pytest.raises(TypeError, match=r"`show` is 'loss'; a list of names is expected"):
        tg.callbacks.ProgbarLogger(show="loss")


# Stopped before the first batch, and errors while validating


class StopAtBegin(tg.callbacks.Callback):
    def on_test_begin(self, logs: Any) -> None:
        self.stop("enough")

    def on_predict_begin(self, logs: Any) -> None:
        self.stop("enough")


def test_who_stops_when_it_begins_gets_one_batch():
    model = make_model()
    stopping = StopAtBegin()
    assert len(model.predict(X, batch_size=4, callbacks=[stopping])) == 4
    found = model.evaluate(X, Y, batch_size=4, verbose=0, callbacks=[stopping])
    assert found["loss"] == pytest.approx(model.evaluate(X[:4], Y[:4], verbose=0)["loss"])


def test_an_error_while_validating_says_so():
    x = np.full(X.shape, 1e300)
    with pytest.raises(tg.DataError, match="`x` is an array of float64") as info:
        fit(make_model(), validation_data=(x, Y))
    assert "This happened while validating." in info.value.__notes__


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_a_model_that_was_donated_says_so(method):
    model = make_model()
    model.module.layers[0].weight.delete()
    with pytest.raises(RuntimeError, match="deleted") as info:
        getattr(model, method)(*((X,) if method == "predict" else (X, Y)), verbose=0)
    assert any("donated to a compiled function" in note for note in info.value.__notes__)


@pytest.mark.parametrize("fails", [False, True])
def test_a_callback_that_cannot_be_closed_loses_nothing(fails):
    class Unclosed(tg.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any) -> None:
            if fails and epoch == 1:
                raise ZeroDivisionError

        def close(self) -> None:
            raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone") as info:
        fit(make_model(), callbacks=[Unclosed()])
    epochs = 2 if fails else 3
    model, history = tg.rescued(info.value)
    assert same_bits(model, fit(make_model(), epochs=epochs)[0]) and len(history.epoch) == epochs
