"""How much diabetes progresses in a year, with an interval: quantiles, and how sure their coverage is.

Needs `pip install "treegy[examples]"`; takes seconds on a CPU. Writes `quantiles.png`.
"""

import equinox as eqx
import jax
import numpy as np
import optax
from matplotlib.figure import Figure
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import treegy as tg

QUANTILES = [0.1, 0.5, 0.9]


def covered(y_true: jax.Array, y_pred: jax.Array) -> jax.Array:
    """Whether a label is within the interval of 80 %."""
    return (y_pred[:, 0] <= y_true) & (y_true <= y_pred[:, 2])


def main() -> None:
    x, y = load_diabetes(return_X_y=True)
    x = StandardScaler().fit_transform(x).astype("float32")
    y = np.asarray(y, "float32") / 100
    x, x_test, y, y_test = train_test_split(x, y, test_size=142, random_state=0)

    model = tg.Model(
        eqx.nn.MLP(10, 3, 32, 1, key=jax.random.key(0)),
        loss=tg.losses.Quantile(q=QUANTILES),
        metrics=tg.metrics.Bootstrap(tg.metrics.Mean(of=covered, name="coverage"), n=200),
        optimizer=optax.adamw(3e-3, weight_decay=0.1),
    )
    model, _ = model.fit(
        x,
        y,
        epochs=200,
        batch_size=50,
        validation_split=0.2,
        verbose=0,
        callbacks=[tg.callbacks.EarlyStopping("val_loss", patience=20, restore_best_weights=True)],
    )
    logs = model.evaluate(x_test, y_test, verbose=0)
    print({name: np.round(value, 3) for name, value in logs.items()})

    low, middle, high = np.sort(np.asarray(model.predict(x_test)), axis=1).T
    order = np.argsort(middle)
    figure = Figure(figsize=(7, 3.5), layout="constrained")
    axes = figure.add_subplot()
    axes.fill_between(range(len(order)), low[order], high[order], alpha=0.3, label="80 %")
    axes.plot(middle[order], label="median")
    axes.scatter(range(len(order)), y_test[order], s=6, color="black", label="measured")
    axes.set_xlabel("patients, by what is predicted")
    axes.legend()
    figure.savefig("quantiles.png")


if __name__ == "__main__":
    main()
