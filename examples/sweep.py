"""Sixteen learning rates in one call, and the best of them as an ensemble: a stack of models.

Needs `pip install "treegy[examples]"`; takes seconds on a CPU.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import treegy as tg


def main() -> None:
    pixels, labels = load_digits(return_X_y=True)
    x, x_test, y, y_test = train_test_split((pixels / 16).astype("float32"), labels, test_size=400, random_state=0)
    rates = jnp.logspace(-4, -0.5, 16)

    @eqx.filter_vmap
    def make(rate: jax.Array, key: jax.Array) -> tg.Model[eqx.nn.MLP]:
        return tg.Model(
            eqx.nn.MLP(64, 10, 32, 1, key=key),
            loss=tg.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=tg.metrics.SparseCategoricalAccuracy(name="accuracy"),
            optimizer=tg.Optimizer(optax.adam, rate),
            seed=key,
        )

    stack = make(rates, jax.random.split(jax.random.key(0), 16))
    stack, history = stack.fit(x, y, epochs=15, batch_size=64, validation_split=0.2, verbose=0)
    found = np.asarray(history["val_accuracy"][-1])
    for rate, accuracy in zip(rates, found, strict=True):
        print(f"rate {rate:.5f}  accuracy of validation {accuracy:.3f}  " + "*" * int(40 * accuracy))

    best = [tg.unstack(stack)[i] for i in np.argsort(-found)[:5]]
    alone = [model.evaluate(x_test, y_test, verbose=0)["accuracy"] for model in best]
    logits = np.mean([np.asarray(model.predict(x_test)) for model in best], axis=0)
    together = float(np.mean(logits.argmax(-1) == y_test))
    print(f"the five best alone: {np.mean(alone):.3f}; together: {together:.3f}")
    assert together > 0.93


if __name__ == "__main__":
    main()
