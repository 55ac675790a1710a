"""A search for hyperparameters with Optuna, which gives up runs that are worse than others were.

Needs `pip install "treegy[examples]" optuna`; takes half a minute on a CPU.
"""

import equinox as eqx
import jax
import optax
import optuna
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import treegy as tg


class Pruning(tg.callbacks.Callback):
    """Tells Optuna the accuracy of each epoch, and ends runs that it has no hope for."""

    def __init__(self, trial: optuna.Trial):
        self.trial = trial

    def on_epoch_end(self, epoch: int, logs: tg.callbacks.Logs) -> None:
        self.trial.report(logs["val_accuracy"], epoch)
        if self.trial.should_prune():
            raise optuna.TrialPruned


def main() -> None:
    pixels, labels = load_digits(return_X_y=True)
    x, x_test, y, y_test = train_test_split((pixels / 16).astype("float32"), labels, test_size=397, random_state=0)

    def make(rate: float, width: int) -> tg.Model[eqx.nn.MLP]:
        return tg.Model(
            eqx.nn.MLP(64, 10, width, 1, key=jax.random.key(0)),
            loss=tg.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=tg.metrics.SparseCategoricalAccuracy(name="accuracy"),
            # Optimizers that differ in their rate alone share compiled programs.
            optimizer=tg.Optimizer(optax.adam, rate),
        )

    def objective(trial: optuna.Trial) -> float:
        rate = trial.suggest_float("rate", 1e-5, 1e-1, log=True)
        width = trial.suggest_categorical("width", [16, 64])
        model = make(rate, width)
        _, history = model.fit(x, y, epochs=10, validation_split=0.2, verbose=0, callbacks=Pruning(trial))
        return history["val_accuracy"][-1]

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
    study.optimize(objective, n_trials=25)
    pruned = sum(trial.state == optuna.trial.TrialState.PRUNED for trial in study.trials)
    print(f"the best of {len(study.trials)}, of which {pruned} were given up: {study.best_params}")

    model, _ = make(**study.best_params).fit(x, y, epochs=20, verbose=0)
    found = model.evaluate(x_test, y_test, verbose=0)["accuracy"]
    print(f"accuracy on other data: {found:.3f}")
    assert found > 0.95


if __name__ == "__main__":
    main()
