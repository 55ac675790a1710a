"""A neural ordinary differential equation: the law of a pendulum, learned from how some have swung.

Needs `pip install "treegy[examples]" diffrax`; takes a minute on a CPU.
"""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray
from matplotlib.figure import Figure

import treegy as tg

TIMES = jnp.linspace(0.0, 3.0, 31)


class NeuralODE(eqx.Module):
    velocity: eqx.nn.MLP

    def __init__(self, key: PRNGKeyArray):
        self.velocity = eqx.nn.MLP(2, 2, 64, 2, activation=jax.nn.softplus, key=key)

    def __call__(self, start: Float[Array, "2"]) -> Float[Array, "time 2"]:
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(lambda t, place, args: self.velocity(place)),
            diffrax.Tsit5(),
            t0=TIMES[0],
            t1=TIMES[-1],
            dt0=0.1,
            y0=start,
            saveat=diffrax.SaveAt(ts=TIMES),
            stepsize_controller=diffrax.PIDController(rtol=1e-3, atol=1e-5),
        )
        assert solution.ys is not None
        return solution.ys


def pendulums(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return how `n` pendulums with friction begin, angle and speed, and how they swing."""

    def velocity(place: np.ndarray) -> np.ndarray:
        angle, speed = place.T
        return np.stack([speed, -4 * np.sin(angle) - 0.3 * speed], axis=-1)

    starts = np.random.default_rng(seed).uniform(-1.5, 1.5, (n, 2))
    places, place, dt = [starts], starts, float(TIMES[1]) / 50
    for i in range(50 * (len(TIMES) - 1)):
        place = place + dt * velocity(place + dt / 2 * velocity(place))
        if i % 50 == 49:
            places.append(place)
    return starts.astype("float32"), np.stack(places, axis=1).astype("float32")


def main() -> None:
    starts, paths = pendulums(256, 0)
    starts_test, paths_test = pendulums(64, 1)
    model = tg.Model(
        NeuralODE(jax.random.key(0)),
        loss=tg.losses.MeanSquaredError(),
        metrics=tg.metrics.RootMeanSquaredError(),
        optimizer=optax.chain(optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(5e-3, 60 * 4))),
    )
    model, _ = model.fit(starts, paths, batch_size=64, epochs=60, validation_data=(starts_test, paths_test), verbose=2)
    found = np.asarray(model.predict(starts_test))
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.add_subplot(1, 1, 1)
    for i in range(3):
        axes.plot(*paths_test[i].T, "o", markersize=3, color=f"C{i}")
        axes.plot(*found[i].T, color=f"C{i}")
    figure.savefig("neural_ode.png")
    assert model.evaluate(starts_test, paths_test, verbose=0)["root_mean_squared_error"] < 0.15


if __name__ == "__main__":
    main()
