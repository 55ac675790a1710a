"""Two outputs, each with losses and metrics of its own: which digit it is, and how much ink it has.

Needs `pip install "treegy[examples]"`; takes seconds on a CPU.
"""

import equinox as eqx
import jax
import optax
from jaxtyping import Array, Float, PRNGKeyArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import treegy as tg


class TwoHeads(eqx.Module):
    trunk: eqx.nn.MLP
    digit: eqx.nn.Linear
    ink: eqx.nn.Linear

    def __init__(self, key: PRNGKeyArray):
        key1, key2, key3 = jax.random.split(key, 3)
        self.trunk = eqx.nn.MLP(64, 64, 128, 1, final_activation=jax.nn.relu, key=key1)
        self.digit = eqx.nn.Linear(64, 10, key=key2)
        self.ink = eqx.nn.Linear(64, 1, key=key3)

    def __call__(self, pixels: Float[Array, "pixels"]) -> dict[str, Array]:
        features = self.trunk(pixels)
        return {"digit": self.digit(features), "ink": self.ink(features)}


def main() -> None:
    pixels, labels = load_digits(return_X_y=True)
    x = (pixels / 16).astype("float32")
    ink = x.mean(axis=1, keepdims=True)
    y = {"digit": labels, "ink": (ink - ink.mean()) / ink.std()}
    train, test = train_test_split(range(len(x)), test_size=360, random_state=0)

    model = tg.Model(
        TwoHeads(jax.random.key(0)),
        # `on` selects the part of `y` and of the predictions that each is about.
        loss=[
            tg.losses.SparseCategoricalCrossentropy(from_logits=True, on="digit"),
            tg.losses.MeanSquaredError(on="ink", weight=0.5),
        ],
        metrics=[
            tg.metrics.SparseCategoricalAccuracy(on="digit", name="accuracy"),
            tg.metrics.R2Score(on="ink", name="r2"),
        ],
        optimizer=optax.adam(1e-3),
    )
    model, _ = model.fit(x[train], jax.tree.map(lambda a: a[train], y), epochs=40, batch_size=64)
    logs = model.evaluate(x[test], jax.tree.map(lambda a: a[test], y), verbose=0)
    print({name: round(value, 3) for name, value in logs.items()})
    assert logs["accuracy"] > 0.93 and logs["r2"] > 0.85


if __name__ == "__main__":
    main()
