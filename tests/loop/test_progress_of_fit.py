"""What `fit` prints: how long a step takes, and some of the metric values."""

import re
import time

import equinox as eqx
import jax
import pytest

import treegy as tg
from helpers.small_runs import MSE, SGD, fit, make_model

COMPILED: list[str] = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, duration_secs, **kwargs: (
        COMPILED.append(event) if event.endswith("backend_compile_duration") else None
    )
)


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


def test_the_only_loss_is_shown_once(capsys):
    x = jax.random.normal(jax.random.key(0), (8, 4))
    data = {"validation_data": (x, x[:, :1])}
    one = make_model()
    fit(one, epochs=1, verbose=2, **data)
    shown = capsys.readouterr().out
    assert "loss" in shown and "val_loss" in shown and "mean_squared_error" not in shown
    one.evaluate(x, x[:, :1], verbose=2)
    assert "mean_squared_error" not in capsys.readouterr().out
    # Where it isn't the total, both are.
    fit(one.replace(loss=[MSE, tg.regularizers.GlobalL2(0.1)]), epochs=1, verbose=2)
    assert "mean_squared_error_loss" in capsys.readouterr().out
    fit(one, epochs=1, callbacks=[tg.callbacks.ProgbarLogger(show=["loss", "mean_squared_error_loss"])])
    assert "mean_squared_error_loss" in capsys.readouterr().out
