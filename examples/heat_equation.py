"""A physics-informed network: the heat equation as a loss, trained with L-BFGS.

Needs `pip install "treegy[examples]"`; takes half a minute on a CPU.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray
from matplotlib.figure import Figure

import treegy as tg

DIFFUSIVITY = 0.1


class Temperature(eqx.Module):
    """Of a rod: a sine at first, and zero at both ends, whatever the network says."""

    network: eqx.nn.MLP

    def __init__(self, key: PRNGKeyArray):
        self.network = eqx.nn.MLP(2, "scalar", 32, 3, activation=jnp.tanh, key=key)

    def __call__(self, point: Float[Array, "2"]) -> Float[Array, ""]:
        place, time = point
        return jnp.sin(jnp.pi * place) + time * place * (1 - place) * self.network(point)


class HeatEquation(tg.Loss):
    r"""$(\partial_t u - \alpha \, \partial_x^2 u)^2$ at every point. It asks for the module, to differentiate it."""

    def call(self, x: Float[Array, "batch 2"], module: Temperature) -> Float[Array, "batch"]:
        def residual(point: Float[Array, "2"]) -> Float[Array, ""]:
            slope = jax.grad(module)(point)[1]
            curvature = jax.hessian(module)(point)[0, 0]
            return slope - DIFFUSIVITY * curvature

        return jax.vmap(residual)(x) ** 2


def main() -> None:
    points = np.random.default_rng(0).uniform(size=(1000, 2)).astype("float32")
    model = tg.Model(Temperature(jax.random.key(0)), loss=HeatEquation(), optimizer=optax.lbfgs())
    # All points are one batch: the line search compares values of the same function.
    model, history = model.fit(points, batch_size=len(points), epochs=150, verbose=0)
    print(f"loss {history['loss'][0]:.4f} -> {history['loss'][-1]:.2e}")

    place, time = np.meshgrid(np.linspace(0, 1, 101), np.linspace(0, 1, 101))
    found = np.asarray(model.predict(np.stack([place, time], axis=-1).reshape(-1, 2).astype("float32")))
    exact = np.exp(-DIFFUSIVITY * np.pi**2 * time) * np.sin(np.pi * place)
    error = found.reshape(exact.shape) - exact
    print(f"largest error against the exact solution: {np.abs(error).max():.1e}")

    figure = Figure(figsize=(9, 3.5), layout="constrained")
    for i, (title, values) in enumerate((("temperature", exact + error), ("error", error))):
        axes = figure.add_subplot(1, 2, i + 1, title=title, xlabel="place", ylabel="time")
        figure.colorbar(axes.pcolormesh(place, time, values, rasterized=True))
    figure.savefig("heat_equation.png")
    assert np.abs(error).max() < 0.01


if __name__ == "__main__":
    main()
