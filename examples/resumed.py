"""A run that is killed in the middle and goes on: in the end it has the same numbers, bit for bit.

Needs `pip install "treegy[examples]"`; takes half a minute on a CPU.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import equinox as eqx
import jax
import optax
from sklearn.datasets import load_digits

import treegy as tg


class Network(eqx.Module):
    layers: list[eqx.nn.Linear]
    dropout: eqx.nn.Dropout

    def __init__(self, key: jax.Array):
        key1, key2 = jax.random.split(key)
        self.layers = [eqx.nn.Linear(64, 128, key=key1), eqx.nn.Linear(128, 10, key=key2)]
        self.dropout = eqx.nn.Dropout(0.3)

    def __call__(self, pixels: jax.Array, key: jax.Array) -> jax.Array:
        hidden = jax.nn.relu(self.layers[0](pixels))
        return self.layers[1](self.dropout(hidden, key=key))


def train(directory: Path, *callbacks: tg.callbacks.Callback) -> tuple[tg.Model[Network], tg.History]:
    pixels, labels = load_digits(return_X_y=True)
    model = tg.Model(
        Network(jax.random.key(0)),
        loss=tg.losses.SparseCategoricalCrossentropy(from_logits=True),
        optimizer=optax.adam(1e-3),
    )
    backup = tg.callbacks.BackupAndRestore(directory / "backup", save_freq=10)
    return model.fit(
        (pixels / 16).astype("float32"), labels, batch_size=64, epochs=20, verbose=0, callbacks=[backup, *callbacks]
    )


class Slow(tg.callbacks.Callback):
    """Gives somebody the time to kill the run."""

    def on_epoch_end(self, epoch: int, logs: tg.callbacks.Logs) -> None:
        print(f"epoch {epoch + 1}", flush=True)
        time.sleep(0.2)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        command = [sys.executable, __file__, str(directory)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
            assert run.stdout is not None
            for line in run.stdout:
                if line.strip() == "epoch 7":
                    run.kill()
                    break
        print("killed after epoch 7; its backups:", *(path.name for path in (directory / "backup").iterdir()))
        resumed, history = train(directory)
        unbroken, other = train(directory / "another")
    print(f"loss of the last epoch: {history['loss'][-1]} resumed, {other['loss'][-1]} unbroken")
    assert history["loss"] == other["loss"]
    # Parameters, the optimizer's states, the stream of random numbers, the count of steps.
    assert eqx.tree_equal(resumed.states, unbroken.states)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        train(Path(sys.argv[1]), Slow())
    else:
        main()
