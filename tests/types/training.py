"""Training as users call it, and the types that come back."""

from typing import Any, assert_type

import equinox as eqx
import jax
import optax
from jaxtyping import Array, Float

import treegy as tg


class Encoder(eqx.Module):
    linear: eqx.nn.Linear

    def __init__(self, key: Array):
        self.linear = eqx.nn.Linear(4, 3, key=key)

    def __call__(self, features: Float[Array, "features"]) -> dict[str, Float[Array, "classes"]]:
        return {"logits": self.linear(features)}


def correct(y_true: Array, y_pred: dict[str, Array]) -> Array:
    return y_true == y_pred["logits"].argmax(axis=-1)


@eqx.filter_jit
def two_steps(model: tg.Model[Encoder], x: Array, y: Array) -> tuple[tg.Model[Encoder], dict[str, Any]]:
    model, _ = model.train_on_batch(x, y)
    return model.train_on_batch(x, y)


def main() -> None:
    x = jax.random.normal(jax.random.key(0), (32, 4))
    y = jax.random.randint(jax.random.key(1), (32,), 0, 3)

    model = tg.Model(
        Encoder(jax.random.key(0)),
        loss={"main": tg.losses.SparseCategoricalCrossentropy(from_logits=True, on={"y_pred": "logits"})},
        metrics=[correct, tg.metrics.SparseCategoricalAccuracy(on={"y_pred": "logits"})],
        optimizer=optax.adam(1e-2),
    )
    assert_type(model, tg.Model[Encoder])
    assert_type(model.module, Encoder)
    assert_type(model.module.linear, eqx.nn.Linear)

    trained, history = model.fit(x, y, epochs=2, batch_size=8, validation_split=0.25, verbose=0)
    assert_type(trained, tg.Model[Encoder])
    losses: list[float] = history.history["val_loss"]
    assert len(losses) == 2

    logs = trained.evaluate(x, y, verbose=0)
    assert_type(logs, dict[str, Any])
    assert 0 <= logs["correct"] <= 1

    assert trained.predict(x)["logits"].shape == (32, 3)
    assert trained(x)["logits"].shape == (32, 3)

    model = model.init(x, y)
    model.check(x[:8], y[:8])
    stepped, logs = two_steps(model, x, y)
    stepped, logs = stepped.test_on_batch(x, y)
    assert_type(stepped.reset_metrics(), tg.Model[Encoder])
    assert_type(stepped.states, tg.States)

    mlp = eqx.nn.MLP(4, 3, 8, 1, key=jax.random.key(0))
    assert_type(tg.Model(mlp).module, eqx.nn.MLP)
    assert_type(tg.Model(mlp).replace(seed=1), tg.Model[eqx.nn.MLP])
    assert_type(tg.inject(correct, y_true=y, y_pred=model(x)), Any)


if __name__ == "__main__":
    main()
