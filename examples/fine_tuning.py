"""A network that others wrote, for classes that it has never seen: a new head, then everything at a lower rate.

Needs `pip install "treegy[examples]" equimo`, and Python 3.12 or newer; takes a minute and a half on a CPU.
"""

import equinox as eqx
import jax
import numpy as np
import optax
from equimo.vision.models.vit import VisionTransformer
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import treegy as tg


def transformer(classes: int, seed: int) -> VisionTransformer:
    sizes = {"img_size": 8, "in_channels": 1, "patch_size": 2, "dim": 32, "num_heads": 4, "depths": [2]}
    return VisionTransformer(**sizes, num_classes=classes, key=jax.random.key(seed))


def classifier(network: VisionTransformer, optimizer: optax.GradientTransformation) -> tg.Model[VisionTransformer]:
    return tg.Model(
        network,
        loss=tg.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=tg.metrics.SparseCategoricalAccuracy(name="accuracy"),
        optimizer=optimizer,
    )


def parts(network: VisionTransformer) -> VisionTransformer:
    """Which part an array belongs to: the head, or the body."""
    body = jax.tree.map(lambda _: "body", network)
    return eqx.tree_at(lambda n: n.head, body, jax.tree.map(lambda _: "head", network.head))


def main() -> None:
    pixels, labels = load_digits(return_X_y=True)
    images = (pixels / 16).astype("float32").reshape(-1, 1, 8, 8)
    split = train_test_split(images, labels, test_size=400, random_state=0)
    x, x_test, y, y_test = (np.asarray(part) for part in split)

    # What others have done: a network that tells 0 to 7 apart.
    few = y < 8
    others = classifier(transformer(8, seed=0), optax.adam(1e-3))
    others, _ = others.fit(x[few], y[few], epochs=30, verbose=0)

    # What there is of all ten digits: two images of each.
    taken, _ = train_test_split(np.arange(len(x)), train_size=20, stratify=y, random_state=0)
    x, y = x[taken], y[taken]

    # A new head; all else is frozen.
    head = eqx.nn.Linear(32, 10, key=jax.random.key(1))
    network = eqx.tree_at(lambda n: n.head, others.module, head)
    only_head = jax.tree.map(lambda part: part == "head", parts(network))
    model = classifier(network, optax.adam(3e-3)).replace(trainable=only_head)
    print(model.summary(x, y))
    model, _ = model.fit(x, y, batch_size=10, epochs=100, verbose=0)
    with_head = model.evaluate(x_test, y_test, verbose=0)["accuracy"]
    assert eqx.tree_equal(model.module.blocks, others.module.blocks)

    # Thawed, with a rate for each part.
    rates = optax.partition({"body": optax.adam(3e-5), "head": optax.adam(3e-4)}, parts)
    model = model.replace(trainable=eqx.is_inexact_array, optimizer=rates)
    model, _ = model.fit(x, y, batch_size=10, epochs=100, verbose=0)
    with_all = model.evaluate(x_test, y_test, verbose=0)["accuracy"]
    assert not eqx.tree_equal(model.module.blocks, others.module.blocks)

    scratch = classifier(transformer(10, seed=2), optax.adam(1e-3))
    scratch, _ = scratch.fit(x, y, batch_size=10, epochs=200, verbose=0)
    alone = scratch.evaluate(x_test, y_test, verbose=0)["accuracy"]
    print(f"a new head: {with_head:.3f}; then everything: {with_all:.3f}; without the others' network: {alone:.3f}")
    assert with_all > alone


if __name__ == "__main__":
    main()
