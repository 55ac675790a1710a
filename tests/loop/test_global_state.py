"""Nothing global is changed: neither by importing treegy, nor by a run, nor by one that fails."""

import subprocess
import sys

import pytest

import treegy as tg
from helpers.wrong_uses import fit

WATCHED = """
import os, random, signal, sys, threading, warnings
import numpy as np, jax, logging

def everything():
    return {
        "numpy": np.random.get_state()[1].tolist(),
        "random": random.getstate(),
        "config": {k: v for k, v in jax.config.values.items()},
        "signals": {s: signal.getsignal(s) for s in signal.valid_signals()},
        "filters": list(warnings.filters),
        "showwarning": warnings.showwarning,
        "excepthook": (sys.excepthook, threading.excepthook),
        "errors": np.geterr(),
        "print": np.get_printoptions(),
        "environ": dict(os.environ),
        "logging": (logging.root.level, list(logging.root.handlers)),
        "threads": threading.active_count(),
        "recursion": sys.getrecursionlimit(),
    }

def unchanged(before, what):
    after = everything()
    changed = [k for k in before if before[k] != after[k]]
    assert not changed, (what, {k: (before[k], after[k]) for k in changed})
"""
IMPORTS = """
import equinox, optax, jaxtyping, beartype.door, rich.console, rich.progress, rich.table  # what others do isn't ours
before = everything()
import treegy as tg
unchanged(before, "import")
"""
RUNS = """
x, y = np.ones((8, 3), np.float32), np.ones((8, 2), np.float32)
module = equinox.nn.Linear(3, 2, key=jax.random.key(0))
for verbose in (0, 1, 2, "auto"):
    model = tg.Model(module, loss=tg.losses.MeanSquaredError(), metrics=tg.metrics.Mean(), optimizer=optax.sgd(0.1))
    trained, _ = model.fit(x, y, batch_size=4, validation_data=(x, y), verbose=verbose)
    unchanged(before, "fit")
    trained.evaluate(x, y, verbose=verbose)
    unchanged(before, "evaluate")
    trained.predict(x, verbose=verbose)
    unchanged(before, "predict")
try:
    trained.fit(x, y[:3])
except ValueError:
    unchanged(before, "an error")
str(trained.summary(x, y))
unchanged(before, "summary")
"""


def test_nothing_global_is_touched():
    done = subprocess.run(
        [sys.executable, "-c", WATCHED + IMPORTS + RUNS], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_a_callback_that_raises_leaves_nothing_behind():
    class Raises(tg.callbacks.Callback):
        def on_epoch_end(self, epoch, logs):
            raise RuntimeError("mine")

    callback = Raises()
    with pytest.raises(RuntimeError, match="mine"):
        fit(callbacks=callback)
    with pytest.raises(AttributeError, match="a callback has a `model` while"):
        _ = callback.model
