"""What a run does when it fails, is stopped, is within another run, or has data without an end."""

import itertools
import os
import signal
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import treegy as tg
from helpers.small_runs import MSE, SGD, X, Y, fit, make_model


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


COMPILED: list[str] = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, duration_secs, **kwargs: (
        COMPILED.append(event) if event.endswith("backend_compile_duration") else None
    )
)


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
