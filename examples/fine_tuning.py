"""A network that others trained, for classes that it has never seen: a new head, then everything at a lower rate.

Needs `pip install "treegy[examples]"`; takes half a minute on a CPU.
"""

import equinox as eqx
import jax
import numpy as np
import optax
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import treegy as tg


def classifier(
    network: eqx.nn.MLP, optimizer: optax.GradientTransformation, **arguments: object
) -> tg.Model[eqx.nn.MLP]:
    return tg.Model(
        network,
        loss=tg.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=tg.metrics.SparseCategoricalAccuracy(name="accuracy"),
        optimizer=optimizer,
        **arguments,
    )


def main() -> None:
    pixels, labels = load_digits(return_X_y=True)
    images = (pixels / 16).astype("float32")

    # What others have done: a network that tells 0 to 4 apart.
    low = labels < 5
    others = classifier(eqx.nn.MLP(64, 5, 128, 2, key=jax.random.key(0)), optax.adam(1e-3))
    others, _ = others.fit(images[low], labels[low], epochs=30, verbose=0)

    # What there is of 5 to 9: ten images of each.
    x, x_test, y, y_test = train_test_split(
        images[~low], labels[~low] - 5, train_size=50, stratify=labels[~low], random_state=0
    )

    # A new head; all else is frozen.
    head = eqx.nn.Linear(128, 5, key=jax.random.key(1))
    network = eqx.tree_at(lambda n: n.layers[-1], others.module, head)
    frozen = jax.tree.map(lambda _: False, network)
    only_head = eqx.tree_at(lambda n: n.layers[-1], frozen, jax.tree.map(lambda _: True, head))
    model = classifier(network, optax.adam(1e-2), trainable=only_head)
    print(model.summary(x))
    model, _ = model.fit(x, y, batch_size=10, epochs=40, verbose=0)
    first = model.evaluate(x_test, y_test, verbose=0)["accuracy"]
    assert np.array_equal(model.module.layers[0].weight, others.module.layers[0].weight)

    # Thawed, with a rate for each part.
    rates = jax.tree.map(lambda _: "body", eqx.filter(network, eqx.is_inexact_array))
    rates = eqx.tree_at(lambda n: n.layers[-1], rates, jax.tree.map(lambda _: "head", eqx.filter(head, eqx.is_array)))
    model = model.replace(
        trainable=eqx.is_inexact_array,
        optimizer=optax.partition({"body": optax.adam(3e-4), "head": optax.adam(3e-3)}, lambda _: rates),
    )
    model, _ = model.fit(x, y, batch_size=10, epochs=40, verbose=0)
    then = model.evaluate(x_test, y_test, verbose=0)["accuracy"]

    scratch = classifier(eqx.nn.MLP(64, 5, 128, 2, key=jax.random.key(2)), optax.adam(1e-3))
    scratch, _ = scratch.fit(x, y, batch_size=10, epochs=80, verbose=0)
    alone = scratch.evaluate(x_test, y_test, verbose=0)["accuracy"]
    print(f"new head: {first:.3f}; everything: {then:.3f}; from nothing: {alone:.3f}")
    assert then > 0.85


if __name__ == "__main__":
    main()
