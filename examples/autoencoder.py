"""An autoencoder of scikit-learn's digits: 64 pixels through 8 numbers. Writes `autoencoder.png`.

Needs `pip install "treegy[examples]"`; takes seconds on a CPU.
"""

import equinox as eqx
import jax
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import treegy as tg


class Autoencoder(eqx.Module):
    encoder: eqx.nn.MLP
    decoder: eqx.nn.MLP

    def __init__(self, code: int, key: PRNGKeyArray):
        key1, key2 = jax.random.split(key)
        self.encoder = eqx.nn.MLP(64, code, 64, 1, key=key1)
        self.decoder = eqx.nn.MLP(code, 64, 64, 1, key=key2)

    def __call__(self, pixels: Float[Array, "pixels"]) -> Float[Array, "pixels"]:
        return jax.nn.sigmoid(self.decoder(self.encoder(pixels)))


def main() -> None:
    pixels, _ = load_digits(return_X_y=True)
    images = np.asarray(pixels / 16, "float32")
    x, x_test = (np.asarray(part) for part in train_test_split(images, test_size=300, random_state=0))

    model = tg.Model(
        Autoencoder(8, jax.random.key(0)),
        loss=tg.losses.MeanSquaredError(),
        optimizer=optax.adam(optax.cosine_decay_schedule(3e-3, 50 * 24)),
    )
    # What is to be predicted is the input itself.
    model, _ = model.fit(x, x, epochs=50, batch_size=64, validation_data=(x_test, x_test))
    error = model.evaluate(x_test, x_test, verbose=0)["loss"]
    print(f"mean squared error {error:.4f}; of the mean image, {np.mean((x_test - x.mean(0)) ** 2):.4f}")

    shown = np.concatenate([x_test[:10], np.asarray(model.predict(x_test[:10]))]).reshape(2, 10, 8, 8)
    figure = Figure(figsize=(10, 2.2), layout="constrained")
    for i, row in enumerate(shown):
        for j, image in enumerate(row):
            axes = figure.add_subplot(2, 10, 10 * i + j + 1)
            axes.imshow(image, cmap="gray")
            axes.axis("off")
    figure.savefig("autoencoder.png")
    assert error < 0.03


if __name__ == "__main__":
    main()
