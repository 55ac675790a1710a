"""Five folds as one run: each model of a stack leaves out its own fold.

Needs `pip install "treegy[examples]"`; takes seconds on a CPU.
"""

import equinox as eqx
import jax
import numpy as np
import optax
from sklearn.datasets import load_wine
from sklearn.preprocessing import StandardScaler

import treegy as tg


def main() -> None:
    x, y = load_wine(return_X_y=True)
    x = StandardScaler().fit_transform(x).astype("float32")
    model = tg.Model(
        eqx.nn.MLP(13, 3, 16, 1, key=jax.random.key(0)),
        loss=tg.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=tg.metrics.SparseCategoricalAccuracy(name="accuracy"),
        optimizer=optax.adam(1e-2),
    )
    found = tg.cross_validate(model, x, y, folds=5, epochs=20, batch_size=32, verbose=0)
    accuracies = np.asarray(found.logs["accuracy"])
    print("accuracy of each fold:", np.round(accuracies, 3), f"mean {accuracies.mean():.3f}")
    assert accuracies.mean() > 0.93


if __name__ == "__main__":
    main()
