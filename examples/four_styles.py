"""One classifier written four times: from losses and metrics down to every step by hand. All four train the same.

Needs `pip install "treegy[examples]"`; takes seconds on a CPU.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import treegy as tg

Logs = dict[str, Array]


class Linear(eqx.Module):
    weight: Float[Array, "features classes"]
    bias: Float[Array, "classes"]

    def __call__(self, features: Float[Array, "features"]) -> Float[Array, "classes"]:
        return features @ self.weight + self.bias


def zeros(x: Array | np.ndarray) -> Linear:
    return Linear(jnp.zeros((x.shape[-1], 10)), jnp.zeros(10))


def crossentropy(y_true: Array, y_pred: Array) -> Array:
    return optax.softmax_cross_entropy_with_integer_labels(y_pred, y_true)


def accuracy(y_true: Array, y_pred: Array) -> Array:
    return jnp.argmax(y_pred, axis=-1) == y_true


class WithPrediction(tg.Model):
    """Says how to predict; losses and metrics do the rest."""

    def pred_step(self, x: Float[Array, "batch d"], states: tg.States, initializing: bool) -> tuple[Array, tg.States]:
        parameters = zeros(x) if initializing else states.net_params
        return jax.vmap(parameters)(x), states.update(net_params=parameters)


class WithLoss(tg.Model):
    """Says what the loss of a batch is; treegy differentiates it and calls the optimizer."""

    def test_step(
        self, x: Float[Array, "batch d"], y_true: Int[Array, "batch"], states: tg.States, initializing: bool
    ) -> tuple[Array, Logs, tg.States]:
        parameters = zeros(x) if initializing else states.net_params
        y_pred = jax.vmap(parameters)(x)
        loss = jnp.mean(crossentropy(y_true, y_pred))
        logs = {"loss": loss, "accuracy": jnp.mean(accuracy(y_true, y_pred))}
        return loss, logs, states.update(net_params=parameters)


class ByHand(WithLoss):
    """Differentiates and calls the optimizer itself."""

    def train_step(self, x: Array, y_true: Array, states: tg.States, initializing: bool) -> tuple[Logs, tg.States]:
        if initializing:
            _, logs, states = self.test_step(x=x, y_true=y_true, states=states, initializing=True)
            return logs, states.update(optimizer_states=self.optimizer.init(states.net_params))

        def loss_of(parameters: Linear) -> tuple[Array, Logs]:
            loss, logs, _ = self.test_step(
                x=x, y_true=y_true, states=states.update(net_params=parameters), initializing=False
            )
            return loss, logs

        gradients, logs = jax.grad(loss_of, has_aux=True)(states.net_params)
        updates, optimizer_states = self.optimizer.update(gradients, states.optimizer_states, states.net_params)
        parameters = optax.apply_updates(states.net_params, updates)
        return logs, states.update(net_params=parameters, optimizer_states=optimizer_states)


def main() -> None:
    pixels, labels = load_digits(return_X_y=True)
    images = (pixels / 16).astype("float32")
    split = train_test_split(images, labels, test_size=397, random_state=0)
    x, x_test, y, y_test = (np.asarray(part) for part in split)
    terms: dict[str, Any] = {"loss": crossentropy, "metrics": accuracy}
    models: dict[str, tg.Model[Any]] = {
        "a module": tg.Model(zeros(x), optimizer=optax.adam(1e-2), **terms),
        "pred_step": WithPrediction(optimizer=optax.adam(1e-2), **terms),
        "test_step": WithLoss(optimizer=optax.adam(1e-2)),
        "train_step": ByHand(optimizer=optax.adam(1e-2)),
    }
    losses: list[list[float]] = []
    for name, model in models.items():
        model, history = model.fit(x, y, batch_size=50, epochs=10, verbose=0)
        found = model.evaluate(x_test, y_test, verbose=0)
        print(f"{name:10}  loss {history['loss'][-1]:.4f}  accuracy {found['accuracy']:.3f}")
        losses.append(history["loss"])
    np.testing.assert_allclose(losses, [losses[0]] * 4, rtol=1e-4)


if __name__ == "__main__":
    main()
