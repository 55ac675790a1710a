"""A variational autoencoder of scikit-learn's digits: a loss that is a model's own. Writes digits that it made up.

Needs `pip install "treegy[examples]"`; takes seconds on a CPU.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

import treegy as tg


class Reconstruction(NamedTuple):
    logits: Float[Array, "*batch pixels"]
    mean: Float[Array, "*batch code"]
    log_variance: Float[Array, "*batch code"]


class VAE(eqx.Module):
    encoder: eqx.nn.MLP
    decoder: eqx.nn.MLP

    def __init__(self, code: int, key: PRNGKeyArray):
        key1, key2 = jax.random.split(key)
        self.encoder = eqx.nn.MLP(64, 2 * code, 128, 1, key=key1)
        self.decoder = eqx.nn.MLP(code, 64, 128, 1, key=key2)

    def __call__(self, pixels: Float[Array, "pixels"], key: PRNGKeyArray) -> Reconstruction:
        mean, log_variance = jnp.split(self.encoder(pixels), 2)
        code = mean + jnp.exp(log_variance / 2) * jax.random.normal(key, mean.shape)
        return Reconstruction(self.decoder(code), mean, log_variance)


class ELBO(tg.Loss):
    """Minus the evidence lower bound. Each part is shown under its name, and they are added."""

    def call(self, y_true: Float[Array, "batch pixels"], y_pred: Reconstruction) -> dict[str, Float[Array, "batch"]]:
        pixels = optax.sigmoid_binary_cross_entropy(y_pred.logits, y_true)
        divergence = (jnp.exp(y_pred.log_variance) + y_pred.mean**2 - 1 - y_pred.log_variance) / 2
        return {"reconstruction": jnp.sum(pixels, axis=-1), "divergence": jnp.sum(divergence, axis=-1)}


def main() -> None:
    pixels, _ = load_digits(return_X_y=True)
    x = (pixels / 16).astype("float32")
    model = tg.Model(VAE(6, jax.random.key(0)), loss=ELBO(), optimizer=optax.adam(2e-3))
    model, history = model.fit(x, x, epochs=40, batch_size=64)

    codes = jax.random.normal(jax.random.key(1), (40, 6))
    made_up = np.asarray(jax.nn.sigmoid(jax.vmap(model.module.decoder)(codes))).reshape(-1, 8, 8)
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    for i, image in enumerate(made_up):
        axes = figure.add_subplot(4, 10, i + 1)
        axes.imshow(image, cmap="gray")
        axes.axis("off")
    figure.savefig("vae.png")
    assert history["loss"][-1] < 0.8 * history["loss"][0]


if __name__ == "__main__":
    main()
