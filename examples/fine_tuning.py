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


def classifier(network: eqx.nn.MLP, optimizer: optax.GradientTransformation) -> tg.Model[eqx.nn.MLP]:
    return tg.Model(
        network,
        loss=tg.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=tg.metrics.SparseCategoricalAccuracy(name="accuracy"),
        optimizer=optimizer,
    )


def parts(network: eqx.nn.MLP) -> eqx.nn.MLP:
    """Which part an array belongs to: the head, or the body."""
    body = jax.tree.map(lambda _: "body", network)
    return eqx.tree_at(lambda n: n.layers[-1], body, jax.tree.map(lambda _: "head", network.layers[-1]))


def main() -> None:
    pixels, labels = load_digits(return_X_y=True)
    images = (pixels / 16).astype("float32")
    split = train_test_split(images, labels, test_size=400, random_state=0)
    x, x_test, y, y_test = (np.asarray(part) for part in split)

    # What others have done: a network that tells 0 to 7 apart.
    few = y < 8
    others = classifier(eqx.nn.MLP(64, 8, 128, 2, key=jax.random.key(0)), optax.adam(1e-3))
    others, _ = others.fit(x[few], y[few], epochs=30, verbose=0)

    # What there is of all ten digits: two images of each.
    taken, _ = train_test_split(np.arange(len(x)), train_size=20, stratify=y, random_state=0)
    x, y = x[taken], y[taken]

    # A new head; all else is frozen.
    head = eqx.nn.Linear(128, 10, key=jax.random.key(1))
    network = eqx.tree_at(lambda n: n.layers[-1], others.module, head)
    only_head = jax.tree.map(lambda part: part == "head", parts(network))
    model = classifier(network, optax.adam(3e-3)).replace(trainable=only_head)
    print(model.summary(x))
    model, _ = model.fit(x, y, batch_size=10, epochs=100, verbose=0)
    with_head = model.evaluate(x_test, y_test, verbose=0)["accuracy"]
    assert np.array_equal(model.module.layers[0].weight, others.module.layers[0].weight)

    # Thawed, with a rate for each part.
    rates = optax.partition({"body": optax.adam(1e-4), "head": optax.adam(1e-3)}, parts)
    model = model.replace(trainable=eqx.is_inexact_array, optimizer=rates)
    model, _ = model.fit(x, y, batch_size=10, epochs=100, verbose=0)
    with_all = model.evaluate(x_test, y_test, verbose=0)["accuracy"]
    assert not np.array_equal(model.module.layers[0].weight, others.module.layers[0].weight)

    scratch = classifier(eqx.nn.MLP(64, 10, 128, 2, key=jax.random.key(2)), optax.adam(1e-3))
    scratch, _ = scratch.fit(x, y, batch_size=10, epochs=200, verbose=0)
    alone = scratch.evaluate(x_test, y_test, verbose=0)["accuracy"]
    print(f"a new head: {with_head:.3f}; then everything: {with_all:.3f}; without the others' network: {alone:.3f}")
    assert with_all > alone


if __name__ == "__main__":
    main()
