"""`monitor=` names a metric value that there is. `EarlyStopping` stops when Keras's does."""

import math
import warnings
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import treegy as tg
from helpers import ADAM, Faked, X, Y, fit, make_model

# Optax's Adam promotes dtypes.
pytestmark = [pytest.mark.standard_promotion, pytest.mark.once]
NET: Any = make_model().module


# Monitors


@pytest.mark.parametrize(
    "make",
    [
        lambda monitor, path: tg.callbacks.EarlyStopping(monitor, mode="min"),
        lambda monitor, path: tg.callbacks.ModelCheckpoint(path, monitor, "min", save_best_only=True),
        lambda monitor, path: tg.callbacks.ReduceLROnPlateau(monitor, mode="min"),
    ],
)
def test_a_misspelt_monitor_is_told_before_the_first_step(tmp_path, make):
    steps: list[int] = []
    count = tg.callbacks.LambdaCallback(on_step_end=lambda step, logs: steps.append(step))
    model = make_model(tg.Optimizer(optax.adam, 1e-2))
    told = r"\(monitor='val_los'\)`: there is no .* among lr, loss, .*, val_loss, .*Did you mean 'val_loss'\?"
    with pytest.raises(KeyError, match=told):
        fit(count, make("val_los", tmp_path), model=model, validation_data=(X, Y))
    with pytest.raises(KeyError, match="There is no validation: pass `validation_data`"):
        fit(count, make("val_loss", tmp_path), model=model)
    assert steps == []
    for name in ("loss", "val_loss", "lr", "mean_squared_error_loss"):
        fit(make(name, tmp_path / name), model=model, validation_data=(X, Y), epochs=1)


class Logging(tg.Model[Any]):
    def train_step(self, *args: Any, **kwargs: Any):
        logs, states = super().train_step(*args, **kwargs)
        return {**logs, "of_step": jnp.ones(())}, states


def test_names_of_one_s_own(tmp_path):
    """Of a step, which are known before; and of a callback, wherever it stands, which aren't."""
    model = Logging(NET, loss=tg.losses.MeanSquaredError(), optimizer=ADAM)
    fit(tg.callbacks.EarlyStopping("of_step", mode="min", patience=9), model=model)
    with pytest.raises(KeyError, match="among loss, mean_squared_error_loss, of_step"):
        fit(tg.callbacks.EarlyStopping("of_stop", mode="min"), model=model)
    fit(Faked(1.0, 2.0, 3.0), tg.callbacks.EarlyStopping("score_loss", patience=9))
    add = tg.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(mine=1.0))
    fit(add, tg.callbacks.EarlyStopping("mine", mode="min", patience=9))
    with pytest.raises(KeyError, match="there is no metric value of that name among loss"):
        fit(add, tg.callbacks.EarlyStopping("other", mode="min", patience=9))
    eager = make_model(run_eagerly=True)
    fit(tg.callbacks.EarlyStopping("loss", patience=9), model=eager, epochs=1)
    with pytest.raises(ValueError, match="`monitor` is ''; the name of a metric value is expected"):
        tg.callbacks.EarlyStopping("")


# `EarlyStopping` against Keras's


def stops_like_keras(rng: np.random.Generator) -> None:
    from keras.callbacks import EarlyStopping

    n = int(rng.integers(1, 15))
    # Eighths, whose differences are exact in whatever precision Keras compares them.
    values = [float(v) / 8 for v in rng.integers(-6, 7, n)]
    values = [math.inf * int(rng.choice([-1, 1])) if rng.random() < 0.05 else v for v in values]
    arguments: dict[str, Any] = {
        "monitor": "val_score",
        "mode": str(rng.choice(["min", "max"])),
        "patience": int(rng.integers(0, 5)),
        "min_delta": float(rng.choice([0, 0.125, 0.25, -0.5])),
        "start_from_epoch": int(rng.integers(0, 4)),
        "restore_best_weights": True,
    }
    # In some of them there is no validation, but in the first of them always.
    due = [epoch for epoch in range(n) if epoch == 0 or rng.random() < 0.8]

    class Model:
        stop_training = False
        at = 0

        def get_weights(self):
            return self.at

        def set_weights(self, weights: Any):
            self.at = weights

    theirs: Any = EarlyStopping(**arguments)
    theirs._model = model = Model()
    theirs.on_train_begin()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        while not model.stop_training and model.at < n:
            theirs.on_epoch_end(model.at, {"val_score": values[model.at]} if model.at in due else {})
            model.at += 1
    ran = model.at
    theirs.on_train_end()

    class Scoring(tg.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any):
            if epoch in due:
                logs["val_score"] = values[epoch]

    ours = tg.callbacks.EarlyStopping(**arguments)
    validation: Any = {"validation_data": (X, Y), "validation_freq": [epoch + 1 for epoch in due]}
    trained, history = fit(Scoring(), ours, epochs=n, batch_size=20, **validation)
    assert (len(history.epoch), history.stopped is not None) == (ran, model.stop_training), (values, due, arguments)
    if theirs.best_weights is not None:
        assert (ours.best_epoch, ours.best) == (theirs.best_epoch, theirs.best), (values, due, arguments)
        assert int(trained.states.step) == theirs.best_weights + 1, (values, due, arguments)


@pytest.mark.parametrize("n", [25, pytest.param(3000, marks=pytest.mark.slow)])
def test_early_stopping_stops_when_keras_s_does(n):
    pytest.importorskip("keras", reason="Keras isn't installed")
    rng = np.random.default_rng(n)
    for _ in range(n):
        stops_like_keras(rng)
