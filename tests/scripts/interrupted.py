"""A training run that is interrupted from outside, and resumes when it is run again. Prints what came out of it.

Run as a script it serves: for each line `directory save_freq fail_at signal after` on its input it trains in
a process of its own, which begins with everything imported, and tells its number and then how it ended.
"""

import hashlib
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
import optax

import treegy as tg


class Telling(tg.callbacks.Callback):
    """Says that training has begun, so that it can be interrupted in the midst of it."""

    def on_train_begin(self, logs: Any) -> None:
        print("training", flush=True)


class Failing(tg.callbacks.Callback):
    """Fails, until a file says that it has."""

    def __init__(self, step: int, file: Path):
        self._step, self._file = step, file

    def next_step(self, step: int) -> int | None:
        return self._step if step < self._step and not self._file.exists() else None

    def on_step_end(self, step: int, logs: Any) -> None:
        self._file.touch()
        raise RuntimeError("something is wrong")


class Signalling(tg.callbacks.Callback):
    """Sends its process a signal some steps after it has begun, wherever the threads that write are then."""

    def __init__(self, number: int, after: int):
        self._number, self._after, self._step = number, after, -1

    def heartbeat(self, step: int) -> None:
        self._step = step if self._step < 0 else self._step
        if step >= self._step + self._after:
            os.kill(os.getpid(), self._number)


def digest_of(states: Any) -> str:
    """Of every array, to the last bit: the parameters, the optimizer's, steps, counts and keys."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(states):
        if eqx.is_array(leaf):
            is_key = jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key)
            array = np.asarray(jax.random.key_data(leaf) if is_key else leaf)
            digest.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}".encode() + array.tobytes())
    return digest.hexdigest()


def main(directory: str, save_freq: str, fail_at: str, number: str, after: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(203, 4)).astype(np.float32)
    y = (x.sum(axis=1) > 0).astype(np.int32)
    net = eqx.nn.Sequential(
        [
            eqx.nn.Linear(4, 8, key=jax.random.key(0)),
            eqx.nn.Lambda(jax.nn.relu),
            eqx.nn.Dropout(0.2),
            eqx.nn.Linear(8, 2, key=jax.random.key(1)),
        ]
    )
    model = tg.Model(
        net,
        loss=tg.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[tg.metrics.SparseCategoricalAccuracy()],
        optimizer=tg.Optimizer(optax.adam, 1e-2),
    )
    use: list[Any] = [
        Telling(),
        tg.callbacks.EarlyStopping("val_loss", patience=1000, restore_best_weights=True),
        tg.callbacks.ReduceLROnPlateau("val_loss", factor=0.7, patience=3),
        tg.callbacks.CSVLogger(f"{directory}/log.csv", append=True),
    ]
    if directory != "none":
        frequency = save_freq if save_freq == "epoch" else int(save_freq)
        use.append(tg.callbacks.BackupAndRestore(f"{directory}/backup", save_freq=frequency))
    use += [Failing(int(fail_at), Path(directory) / "failed")] if fail_at != "never" else []
    use += [Signalling(int(number), int(after))] if after != "never" else []
    model, history = model.fit(
        x,
        y,
        batch_size=10,
        epochs=30,
        validation_data=(x[:50], y[:50]),
        verbose=0,
        callbacks=use,
        steps_per_execution=5,
    )
    digest = digest_of(model.states)
    print(json.dumps({"digest": digest, "history": history.history, "stopped": history.stopped}), flush=True)


def serve() -> None:
    for line in sys.stdin:
        directory, *arguments = line.split()
        pid = os.fork()
        if pid == 0:
            with open(f"{directory}/output", "w") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
            # As in a terminal, whoever started this.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            try:
                main(directory, *arguments)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    serve()
