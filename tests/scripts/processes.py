"""Trains in one of several processes, or alone: `processes.py OUT PORT RANK PROCESSES`. `OUT` gets what there is to compare.

With one process there is one device, and no strategy. The script is the same but for that.
"""

import contextlib
import os
import sys
import warnings
from pathlib import Path
from typing import Any

OUT, PORT, RANK, PROCESSES = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
TOGETHER = PROCESSES > 1
if TOGETHER:
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"

import equinox as eqx  # noqa: E402
import jax  # noqa: E402
import numpy as np  # noqa: E402
import optax  # noqa: E402

import treegy as tg  # noqa: E402

if TOGETHER:
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"localhost:{PORT}", PROCESSES, RANK, heartbeat_timeout_seconds=10)

warnings.simplefilter("error")
warnings.filterwarnings("ignore", message="the (train|test|pred) step was compiled again")
warnings.filterwarnings("ignore", message=r"`model\.\w+\(.*\)` returns what it has made")

EXAMPLES, BATCH = 50, 12  # neither is a multiple of the devices, nor of each other
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(EXAMPLES, 6)), RNG.integers(0, 3, EXAMPLES).astype("int32")
WEIGHT = RNG.uniform(0.0, 2.0, EXAMPLES)
CLASSES = {0: 1.0, 1: 2.0, 2: 0.5}


class Net(eqx.Module):
    first: eqx.nn.Linear
    norm: eqx.nn.BatchNorm
    last: eqx.nn.Linear
    dropout: eqx.nn.Dropout

    def __init__(self, key: jax.Array):
        a, b = jax.random.split(key)
        self.first = eqx.nn.Linear(6, 16, use_bias=False, key=a)  # its gradient behind BatchNorm would be rounding alone
        self.norm = eqx.nn.BatchNorm(16, axis_name="batch", mode="ema")
        self.last = eqx.nn.Linear(16, 3, key=b)
        self.dropout = eqx.nn.Dropout(0.2)

    def __call__(self, x: Any, state: eqx.nn.State, *, key: Any = None, inference: bool = False) -> Any:
        hidden, state = self.norm(self.first(x), state)
        return self.last(self.dropout(jax.nn.relu(hidden), key=key, inference=inference)), state


STRATEGIES = {
    "data": lambda: tg.parallel.DataParallel(),
    "fsdp": lambda: tg.parallel.FSDP(min_size=1),
}


def model_of(strategy: str, seed: int = 0, **fields: Any) -> tg.Model:
    module, state = eqx.nn.make_with_state(Net)(jax.random.key(seed))
    model = tg.Model(
        module,
        state=state,
        loss=tg.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[tg.metrics.SparseCategoricalAccuracy(), tg.metrics.ConfusionMatrix(num_classes=3)],
        optimizer=tg.with_ema(optax.adam(1e-2, eps=1e-3), 0.9),
        **fields,
    )
    return model.distributed(STRATEGIES[strategy]()) if TOGETHER else model


class Batches:
    """Gives the batches of `X` and `Y`, or this process's part of each: the last ones of unequal lengths."""

    def __iter__(self) -> Any:
        for start in range(0, EXAMPLES, BATCH):
            rows = np.array_split(np.arange(start, min(start + BATCH, EXAMPLES)), PROCESSES)[RANK]
            if len(rows):
                yield X[rows], Y[rows], WEIGHT[rows]


FOUND: dict[str, Any] = {}


def keep(name: str, tree: Any) -> None:
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if hasattr(leaf, "dtype") and jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf = jax.random.key_data(leaf)
        if isinstance(leaf, jax.Array | np.ndarray | float | int):
            FOUND[name + jax.tree_util.keystr(path)] = np.asarray(leaf)


def keep_model(name: str, model: tg.Model) -> None:
    """The whole of what is split over processes is known when it has been brought to one device."""
    keep(name, {n: v for n, v in model.distributed(None).states.items() if n != "metrics_states"})


def arrays(strategy: str) -> None:
    kwargs: dict[str, Any] = {"batch_size": BATCH, "class_weight": CLASSES, "verbose": 0}
    model, history = model_of(strategy).fit(
        X, Y, epochs=3, sample_weight=WEIGHT, validation_split=0.2, **kwargs, callbacks=tg.callbacks.EMA()
    )
    keep("history", history.history)
    keep_model("model", model)
    keep("evaluate", model.evaluate(X, Y, batch_size=BATCH, sample_weight=WEIGHT, verbose=0))
    keep("predict", model.predict(X, batch_size=BATCH))
    for n in (16, 5):
        model, logs = model.train_on_batch(X[:n], Y[:n], WEIGHT[:n])
        keep(f"train on {n}", logs)
        model, logs = model.test_on_batch(X[:n], Y[:n], WEIGHT[:n])
        keep(f"test on {n}", logs)
        keep(f"predict {n}", model.predict_on_batch(X[:n]))
    keep_model("after batches", model)


def batches(strategy: str) -> None:
    model, history = model_of(strategy).fit(
        Batches(), validation_data=Batches(), epochs=2, class_weight=CLASSES, verbose=0
    )
    keep("history", history.history)
    keep_model("model", model)
    keep("evaluate", model.evaluate(Batches(), verbose=0))


def saving(strategy: str) -> None:
    """Saves together; what was saved is loaded together and alone."""
    place = OUT / f"saved-{strategy}-{PROCESSES}"
    checkpoints = OUT / f"checkpoints-{strategy}-{PROCESSES}"
    callbacks = [
        tg.callbacks.ModelCheckpoint(checkpoints),
        tg.callbacks.CSVLogger(OUT / f"log-{strategy}-{PROCESSES}-{RANK}.csv"),
        tg.callbacks.EarlyStopping("loss", patience=9, restore_best_weights=True),
    ]
    model, _ = model_of(strategy).fit(X, Y, batch_size=BATCH, epochs=2, verbose=2, callbacks=callbacks)
    model.save(place)
    keep_model("saved", model_of(strategy, 1).load(place))
    keep_model("checkpoint", model_of(strategy, 1).load(checkpoints))
    if PROCESSES == 1:
        # They are written by the pair of processes meanwhile.
        pass
    continued = model_of(strategy, 1).load(place).fit(X, Y, batch_size=BATCH, verbose=0).model
    keep_model("continued", continued)


CHECKS = {"arrays": arrays, "batches": batches, "saving": saving}

if __name__ == "__main__":
    import time
    for strategy in STRATEGIES:
        for name, check in CHECKS.items():
            FOUND.clear()
            t = time.time()
            check(strategy)
            print(name, strategy, time.time() - t, flush=True)
            np.savez(OUT / f"{name}-{strategy}-{PROCESSES}-{RANK}.npz", **FOUND)
