"""A generative adversarial network of points on two moons, with an optimizer for each of its two parts.

Needs `pip install "treegy[examples]"`; takes half a minute on a CPU.
"""

from typing import TypeVar

import equinox as eqx
import jax
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray
from matplotlib.figure import Figure
from sklearn.datasets import make_moons

import treegy as tg

T = TypeVar("T")


def frozen(module: T) -> T:
    """The same module, into which no gradient flows."""
    return jax.tree.map(lambda leaf: jax.lax.stop_gradient(leaf) if eqx.is_inexact_array(leaf) else leaf, module)


class GAN(eqx.Module):
    generator: eqx.nn.MLP
    critic: eqx.nn.MLP

    def __init__(self, key: PRNGKeyArray):
        key1, key2 = jax.random.split(key)
        self.generator = eqx.nn.MLP(4, 2, 128, 2, key=key1)
        self.critic = eqx.nn.MLP(2, "scalar", 128, 2, activation=jax.nn.leaky_relu, key=key2)

    def __call__(self, point: Float[Array, "2"], key: PRNGKeyArray) -> dict[str, object]:
        fake = self.generator(jax.random.normal(key, (4,)))
        return {
            "critic": (self.critic(point), self.critic(jax.lax.stop_gradient(fake))),
            "generator": frozen(self.critic)(fake),
        }


def parts(gan: GAN) -> GAN:
    """Which optimizer an array belongs to."""
    return eqx.tree_at(lambda gan: (gan.generator, gan.critic), gan, ("generator", "critic"))


def main() -> None:
    points, _ = make_moons(4096, noise=0.05, random_state=0)
    x = np.asarray(points, "float32")
    model = tg.Model(
        GAN(jax.random.key(0)),
        loss=[tg.losses.GANDiscriminator(on="critic"), tg.losses.GANGenerator(on="generator")],
        optimizer=optax.partition({"generator": optax.adam(2e-4, b1=0.5), "critic": optax.adam(1e-3, b1=0.5)}, parts),
    )
    model, _ = model.fit(x, batch_size=128, epochs=300, verbose=2)

    noise = jax.random.normal(jax.random.key(1), (1000, 4))
    made = np.asarray(jax.vmap(model.module.generator)(noise))
    figure = Figure(figsize=(8, 4), layout="constrained")
    for i, (title, shown) in enumerate((("real", x[:1000]), ("generated", made))):
        axes = figure.add_subplot(1, 2, i + 1, title=title, xlim=(-1.5, 2.5), ylim=(-1, 1.5))
        axes.scatter(shown[:, 0], shown[:, 1], s=3)
    figure.savefig("gan.png")

    distances = np.linalg.norm(made[:, None] - x[None, ::4], axis=-1)
    print(f"from what is generated to the next real point: {distances.min(1).mean():.3f}")
    print(f"from what is real to the next generated point: {distances.min(0).mean():.3f}")
    assert distances.min(1).mean() < 0.1 and distances.min(0).mean() < 0.15


if __name__ == "__main__":
    main()
