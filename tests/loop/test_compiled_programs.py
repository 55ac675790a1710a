"""Models share compiled programs, and what is small compiles few of them."""

import gc
import weakref
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import optax
import pytest

import treegy as tg
from helpers.small_runs import X, Y, fit, make_model

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
