"""A learning rate that is learned: the gradient of a validation loss through a whole run.

Needs `pip install "treegy[examples]"`; takes seconds on a CPU.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import treegy as tg


def main() -> None:
    x, y = load_breast_cancer(return_X_y=True)
    x = StandardScaler().fit_transform(x).astype("float32")
    x, x_val, y, y_val = train_test_split(x, y.astype("float32"), test_size=169, random_state=0)
    network = eqx.nn.MLP(30, "scalar", 16, 1, key=jax.random.key(0))

    def validation_loss(log_rate: jax.Array) -> jax.Array:
        """The loss on other data, after two epochs with this rate."""
        model = tg.Model(
            network,
            loss=tg.losses.BinaryCrossentropy(from_logits=True),
            optimizer=tg.Optimizer(optax.sgd, jnp.exp(log_rate)),
        )
        _, history = model.scan_fit(x, y, epochs=2, batch_size=50, validation_data=(x_val, y_val))
        return history["val_loss"][-1]

    log_rate, outer = jnp.log(1e-3), optax.adam(0.5)
    state = outer.init(log_rate)
    slope = jax.jit(jax.value_and_grad(validation_loss))
    first = loss = float(slope(log_rate)[0])
    for _ in range(15):
        loss, gradient = slope(log_rate)
        print(f"rate {jnp.exp(log_rate):.4f}  loss of validation {loss:.4f}  slope {gradient:.4f}")
        update, state = outer.update(gradient, state)
        log_rate = jnp.asarray(log_rate + jnp.asarray(update))
    assert loss < 0.7 * first


if __name__ == "__main__":
    main()
