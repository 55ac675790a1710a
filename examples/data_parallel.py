"""One model on eight devices, which gives what one device gives. Here they are parts of a CPU.

Needs `pip install "treegy[examples]"`; takes seconds on a CPU.
"""

import equinox as eqx
import jax
import numpy as np
import optax
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import treegy as tg


def main() -> None:
    pixels, labels = load_digits(return_X_y=True)
    x, x_test, y, y_test = train_test_split((pixels / 16).astype("float32"), labels, test_size=397, random_state=0)
    model = tg.Model(
        eqx.nn.MLP(64, 10, 128, 2, key=jax.random.key(0)),
        loss=tg.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=tg.metrics.SparseCategoricalAccuracy(name="accuracy"),
        optimizer=optax.adam(1e-3),
    )
    spread = model.distributed(tg.parallel.DataParallel())
    print(f"{len(jax.devices())} devices; a device has these parts of a weight matrix of the layers:")
    for name, strategy in {"DataParallel": tg.parallel.DataParallel(), "FSDP": tg.parallel.FSDP(min_size=64)}.items():
        weight = model.distributed(strategy).module.layers[1].weight
        print(f"{name:12} {weight.addressable_shards[0].data.shape} of {weight.shape}")

    # A batch needn't be a multiple of the devices, nor the data of the batch.
    one, history = model.fit(x, y, batch_size=100, epochs=20, verbose=0)
    eight, history8 = spread.fit(x, y, batch_size=100, epochs=20, verbose=0)
    print(f"one device: {one.evaluate(x_test, y_test, verbose=0)}")
    print(f"eight:      {eight.evaluate(x_test, y_test, verbose=0)}")
    np.testing.assert_allclose(history["loss"], history8["loss"], rtol=1e-3)


if __name__ == "__main__":
    jax.config.update("jax_num_cpu_devices", 8)
    main()
