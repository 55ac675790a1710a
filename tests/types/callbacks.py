"""Callbacks and accumulators of one's own, and the types that treegy gives them."""

from typing import Any, assert_type

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

import treegy as tg


class StopWhenGood(tg.callbacks.Callback):
    def __init__(self, loss: float):
        self.loss = loss
        self.seen: list[int] = []

    def on_epoch_end(self, epoch: int, logs: tg.callbacks.Logs) -> None:
        run = self.training_run
        assert_type(run, tg.callbacks.TrainingRun)
        assert_type(run.step, int)
        assert_type(run.steps_per_epoch, int | None)
        assert_type(run.history, tg.History)
        self.seen.append(run.step)
        if logs["loss"] < self.loss and not run.has_validation:
            self.stop(f"the loss is below {self.loss}")


class Largest(tg.Accumulator):
    value: Array

    def empty(self) -> "Largest":
        return Largest(self.value - jnp.inf)

    def merge(self, other: "Largest") -> "Largest":
        return Largest(jnp.maximum(self.value, other.value))

    def compute(self) -> Array:
        return self.value


class LargestError(tg.Metric):
    def call(self, y_true: Float[Array, "batch d"], y_pred: Float[Array, "batch d"]) -> Largest:
        return Largest(jnp.max(jnp.abs(y_true - y_pred)))


def main() -> None:
    x = jax.random.normal(jax.random.key(0), (32, 4))
    stop = StopWhenGood(1e9)
    callbacks: list[tg.callbacks.Callback] = [stop, tg.callbacks.TerminateOnNaN()]
    model = tg.Model(
        eqx.nn.Linear(4, 4, key=jax.random.key(1)),
        loss=tg.losses.MeanSquaredError(),
        metrics=LargestError(),
        optimizer=tg.Optimizer(optax.sgd, 0.1),
    )
    fitted = model.fit(x, x, epochs=3, batch_size=8, callbacks=callbacks, verbose=0)
    assert_type(fitted.model, tg.Model[eqx.nn.Linear])
    assert stop.seen == [4]
    logs: dict[str, Any] = fitted.model.evaluate(x, x, verbose=0)
    assert logs["largest_error"] > 0
    assert_type(Largest(x).merge(Largest(x)), Largest)
    assert_type(tg.Mean.of(x).merge(tg.Mean.of(x)), tg.Mean)


if __name__ == "__main__":
    main()
