"""Averaged parameters: which of them are measured, saved, and trained."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import treegy as tg
from helpers import FailingIn, X, Y, fit, make_model, same

# Optax's Adam promotes dtypes.
pytestmark = [pytest.mark.standard_promotion, pytest.mark.once]
NET: Any = make_model().module


NOISY = (Y + 3 * np.random.default_rng(2).normal(size=Y.shape)).astype("float32")
EMA_SGD = tg.with_ema(optax.sgd(0.3), 0.9)


def fit_with_ema(*use: Any, **arguments: Any) -> tuple[tg.Model[Any], tg.History]:
    arguments = {"batch_size": 5, "epochs": 8, "verbose": 0, "validation_data": (X, Y), **arguments}
    return make_model(EMA_SGD).fit(X, NOISY, callbacks=list(use), **arguments)


def loss_of(model: Any) -> float:
    return model.evaluate(X, Y, verbose=0)["loss"]


@pytest.mark.parametrize("first", [True, False], ids=["EMA first", "EMA last"])
@pytest.mark.parametrize("swap", [True, False])
def test_what_was_measured_and_what_was_trained(tmp_path, first, swap):
    ema = tg.callbacks.EMA(swap_at_end=swap)
    keep = [
        tg.callbacks.EarlyStopping(patience=99, restore_best_weights=True),
        tg.callbacks.ModelCheckpoint(tmp_path / "best", save_best_only=True, keep=2),
        tg.callbacks.ModelCheckpoint(tmp_path / "all"),
    ]
    trained: list[Any] = []
    look = tg.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: trained.append(keep[0].model))
    use = [ema, *keep] if first else [*keep, ema]
    model, history = fit_with_ema(*use, look)
    best = int(np.argmin(history["val_loss"]))
    assert 0 < best < 7 or min(history["val_loss"]) < max(history["val_loss"])
    stopping: Any = keep[0]
    assert loss_of(stopping.best_model) == pytest.approx(min(history["val_loss"]), rel=1e-5)
    assert same(stopping.best_trained.states, trained[best].states)
    assert same(model.module, stopping.best_model.module if swap else stopping.best_trained.module)
    assert same(stopping.best_trained.averaged().module, stopping.best_model.module)
    loaded = make_model(EMA_SGD).load(tmp_path / "best")
    assert loss_of(loaded) == pytest.approx(min(history["val_loss"]), rel=1e-5)
    going_on = make_model(EMA_SGD).load(tmp_path / "best", averaged=False)
    assert same(going_on.states, trained[best].states) and not same(going_on.module, loaded.module)
    for epoch, value in enumerate(history["val_loss"]):
        found = make_model(EMA_SGD).load(tmp_path / "all", step=4 * (epoch + 1))
        assert loss_of(found) == pytest.approx(value, rel=1e-5)
    predicting = make_model(None).load(tmp_path / "best", only="module")
    assert same(predicting.module, loaded.module)
    raw = make_model(None).load(tmp_path / "best", only="module", averaged=False)
    assert same(raw.module, going_on.module)


@pytest.mark.parametrize("monitor", ["loss", "val_loss"])
def test_what_was_measured_is_what_validation_looked_at(tmp_path, monitor):
    """The loss of training is that of what is trained; so is that of a validation that isn't averaged."""
    ema = tg.callbacks.EMA(validate=monitor == "loss")
    use = tg.callbacks.ModelCheckpoint(tmp_path, monitor=monitor, save_best_only=True, keep=9)
    model, _ = fit_with_ema(ema, use, epochs=2)
    found = make_model(EMA_SGD).load(tmp_path, step=8)
    assert same(found.states, model.states)


def test_resuming_goes_on_with_what_was_trained(tmp_path):
    def use() -> list[Any]:
        stopping = tg.callbacks.EarlyStopping(patience=99, restore_best_weights=True)
        return [tg.callbacks.EMA(swap_at_end=True), stopping, tg.callbacks.BackupAndRestore(tmp_path)]

    with pytest.raises(ZeroDivisionError):
        fit_with_ema(*use()[::-1], FailingIn(5))
    found, history = fit_with_ema(*use())
    expected, whole = fit_with_ema(*use()[:2])
    assert same(found.states, expected.states) and history.history == whole.history


def test_a_model_is_averaged(tmp_path):
    model, _ = fit_with_ema(epochs=2)
    averaged = model.averaged()
    assert type(averaged) is type(model)
    assert same(averaged.parameters, model.states.optimizer_states.average)
    assert same(averaged.states.optimizer_states, model.states.optimizer_states)
    with pytest.raises(ValueError, match=r"keeps no average of the parameters: wrap it, `optimizer=tg.with_ema"):
        fit()[0].averaged()


def test_an_average_of_some_of_the_parameters():
    def labels(params: Any) -> Any:
        return jax.tree.map(lambda a: "a" if a.ndim == 2 else "b", params)

    optimizer = optax.multi_transform({"a": tg.with_ema(optax.sgd(0.1), 0.5), "b": optax.sgd(0.1)}, labels)
    model, _ = fit(model=make_model(optimizer), epochs=1)
    averaged = model.averaged()
    assert not np.array_equal(averaged.module.layers[0].weight, model.module.layers[0].weight)
    assert np.array_equal(averaged.module.layers[0].bias, model.module.layers[0].bias)


def test_half_precision_is_averaged_in_float32(tmp_path):
    net = jax.tree.map(lambda a: a.astype(jnp.bfloat16) if eqx.is_inexact_array(a) else a, NET)
    model = tg.Model(net, loss=tg.losses.MeanSquaredError(), optimizer=tg.with_ema(optax.sgd(0.1), 0.9))
    use = [tg.callbacks.EMA(), tg.callbacks.ModelCheckpoint(tmp_path)]
    trained, history = fit(*use, model=model, validation_data=(X, Y))
    loaded = model.load(tmp_path)
    assert loaded.module.layers[0].weight.dtype == jnp.bfloat16
    assert loss_of(loaded) == pytest.approx(history["val_loss"][-1], rel=1e-3)
    assert same(model.load(tmp_path, averaged=False).states, trained.states)
