"""Trains a small convolutional network on scikit-learn's handwritten digits, in seconds on a CPU.

Prints what the network is made of, how training goes and how well it does on images that it never saw; writes the
learning curves to `digits.png`. Needs `pip install "treegy[examples]"`.
"""

import math
import sys

import equinox as eqx
import jax
import optax
from jaxtyping import Array, Float, PRNGKeyArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import treegy as tg


class CNN(eqx.Module):
    """Takes one image, as Equinox modules do; treegy maps it over the batch."""

    conv1: eqx.nn.Conv2d
    conv2: eqx.nn.Conv2d
    dropout: eqx.nn.Dropout
    linear: eqx.nn.Linear

    def __init__(self, key: PRNGKeyArray):
        key1, key2, key3 = jax.random.split(key, 3)
        self.conv1 = eqx.nn.Conv2d(1, 16, kernel_size=3, padding=1, key=key1)
        self.conv2 = eqx.nn.Conv2d(16, 32, kernel_size=3, padding=1, stride=2, key=key2)
        self.dropout = eqx.nn.Dropout(0.5)
        self.linear = eqx.nn.Linear(32 * 4 * 4, 10, key=key3)

    def __call__(self, image: Float[Array, "rows columns"], key: PRNGKeyArray) -> Float[Array, "classes"]:
        hidden = jax.nn.relu(self.conv1(image[None]))
        hidden = jax.nn.relu(self.conv2(hidden))
        return self.linear(self.dropout(hidden.reshape(-1), key=key))


def main() -> None:
    pixels, labels = load_digits(return_X_y=True)  # 1797 images of 8 x 8 pixels from 0 to 16
    images = (pixels / 16).astype("float32").reshape(-1, 8, 8)
    x, x_test, y, y_test = train_test_split(images, labels, test_size=360, stratify=labels, random_state=1)

    epochs, batch_size = 15, 64
    steps = epochs * math.ceil(len(x) / batch_size)

    model = tg.Model(
        CNN(jax.random.key(0)),
        loss=tg.losses.SparseCategoricalCrossentropy(from_logits=True, name="crossentropy"),
        metrics=tg.metrics.SparseCategoricalAccuracy(name="accuracy"),
        optimizer=optax.adam(optax.cosine_decay_schedule(1e-2, steps)),
    )
    print(model.summary(x, y))

    model, history = model.fit(x, y, epochs=epochs, batch_size=batch_size, validation_data=(x_test, y_test))

    logs = model.evaluate(x_test, y_test, verbose=0)
    print(f"on the {len(x_test)} images held out: loss {logs['loss']:.4f}, accuracy {logs['accuracy']:.4f}")
    history.plot().savefig("digits.png")
    print("learning curves: digits.png")
    if logs["accuracy"] < 0.97:
        sys.exit("That is less than the 0.97 expected of this network.")


if __name__ == "__main__":
    main()
