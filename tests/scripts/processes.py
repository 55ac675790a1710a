"""Trains in one of several processes, or alone: `processes.py OUT PORT RANK PROCESSES CHECKS`. `OUT` gets the results.

With one process there is one device, and no strategy. The script is the same but for that.
"""

import json
import os
import signal
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
from jax.sharding import NamedSharding, PartitionSpec  # noqa: E402

import treegy as tg  # noqa: E402

if TOGETHER:
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"localhost:{PORT}", PROCESSES, RANK, heartbeat_timeout_seconds=10)

warnings.simplefilter("error")
warnings.filterwarnings("ignore", message="the (train|test|pred) step was compiled again")
warnings.filterwarnings("ignore", message=r"`model\.\w+\(.*\)` returns its result")

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
        self.first = eqx.nn.Linear(
            6, 16, use_bias=False, key=a
        )  # its gradient behind BatchNorm would be rounding alone
        self.norm = eqx.nn.BatchNorm(16, axis_name="batch", mode="ema")
        self.last = eqx.nn.Linear(16, 3, key=b)
        self.dropout = eqx.nn.Dropout(0.2)

    def __call__(self, x: Any, state: eqx.nn.State, *, key: Any = None, inference: bool = False) -> Any:
        hidden, state = self.norm(self.first(x), state)
        return self.last(self.dropout(jax.nn.relu(hidden), key=key, inference=inference)), state


def across_processes() -> tg.parallel.Layout:
    """Each process has a half of what is split, and all of the examples."""
    mesh = jax.sharding.Mesh(np.asarray(jax.devices()).reshape(2, 2).T, ("data", "model"))
    rule = lambda path, shape: PartitionSpec("model") if shape[0] % 2 == 0 else None  # noqa: E731
    return tg.parallel.Layout(mesh, batch="data", rule=rule)


STRATEGIES = {
    "data": lambda: tg.parallel.DataParallel(),
    "fsdp": lambda: tg.parallel.FSDP(min_size=1),
    "tensors": across_processes,
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
    return distributed(model, strategy)


ADAM = optax.adam(1e-2, eps=1e-3)


def linear_alone(seed: int = 0) -> tg.Model:
    loss = tg.losses.SparseCategoricalCrossentropy(from_logits=True)
    return tg.Model(eqx.nn.Linear(6, 4, key=jax.random.key(seed)), loss=loss, optimizer=ADAM)


def distributed(model: tg.Model, strategy: str) -> tg.Model:
    return model.distributed(STRATEGIES[strategy]()) if TOGETHER else model


def linear(strategy: str = "fsdp", seed: int = 0) -> tg.Model:
    return distributed(linear_alone(seed), strategy)


class Batches:
    """Gives the batches of `X` and `Y`, or this process's part of each: the last ones of unequal lengths."""

    def __iter__(self) -> Any:
        for start in range(0, EXAMPLES, BATCH):
            rows = np.array_split(np.arange(start, min(start + BATCH, EXAMPLES)), PROCESSES)[RANK]
            if len(rows):
                yield X[rows], Y[rows], WEIGHT[rows]


class Pairs(Batches):
    """Gives their inputs and labels."""

    def __iter__(self) -> Any:
        return ((x, y) for x, y, _ in super().__iter__())


class Inputs(Batches):
    """Gives their inputs alone."""

    def __iter__(self) -> Any:
        return (x for x, *_ in super().__iter__())


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
    keep("evaluate", model.evaluate(X, Y, batch_size=EXAMPLES, sample_weight=WEIGHT, verbose=0))
    keep("predict", model.predict(X, batch_size=BATCH))
    n = 5
    model, logs = model.train_on_batch(X[:n], Y[:n], WEIGHT[:n])
    keep("train on batch", logs)
    model, logs = model.test_on_batch(X[:n], Y[:n], WEIGHT[:n])
    keep("test on batch", logs)
    keep("predict on batch", model.predict_on_batch(X[:n]))
    keep_model("after batches", model)


def batches(strategy: str) -> None:
    model, history = model_of(strategy).fit(
        Batches(), validation_data=Batches(), epochs=2, class_weight=CLASSES, verbose=0
    )
    keep("history", history.history)
    keep_model("model", model)
    keep("predict", model.predict(Inputs()))


def saving(strategy: str) -> None:
    """Saves together; what was saved is loaded by as many processes, and by the test."""
    place, checkpoints = OUT / f"saved-{PROCESSES}", OUT / f"checkpoints-{PROCESSES}"
    callbacks = [
        tg.callbacks.ModelCheckpoint(checkpoints),
        tg.callbacks.CSVLogger(OUT / f"log-{PROCESSES}-{RANK}.csv"),
        tg.callbacks.EarlyStopping("loss", patience=9, restore_best_weights=True),
    ]
    model, _ = linear(strategy).fit(X, Y, batch_size=BATCH, epochs=2, verbose=2, callbacks=callbacks)
    model.save(place)
    keep_model("saved", linear(strategy, 1).load(place))
    keep_model("checkpoint", linear(strategy, 1).load(checkpoints))
    keep_model("continued", linear(strategy, 1).load(place).fit(X, Y, batch_size=BATCH, verbose=0).model)
    if TOGETHER:
        other = OUT / f"saved-{PROCESSES}-by-one"
        if RANK == 0:
            linear_alone().save(other)
        keep_model("of one", linear(strategy, 1).load(other))
    else:
        keep_model("of one", linear_alone())


def scanned(strategy: str) -> None:
    """A run as one function."""
    model, logs = linear(strategy).scan_fit(X, Y, epochs=2, batch_size=BATCH, validation_data=(X, Y))
    keep("scan", logs)
    keep_model("model", model)


def made(strategy: str) -> None:
    """A model that needs a batch to be initialized."""
    model, history = distributed(Initializing(optimizer=optax.sgd(0.1)), strategy).fit(Pairs(), verbose=0)
    keep("history", history.history)
    keep_model("model", model)


class Initializing(tg.Model[Any]):
    """Creates its parameters from the first batch: from its numbers, too."""

    def test_step(self, x: Any, y_true: Any, states: Any, initializing: Any) -> Any:
        w = jax.numpy.tile(jax.numpy.mean(x), (6, 3)) if initializing else states.net_params
        y_pred = x @ w
        loss = jax.numpy.mean((jax.nn.one_hot(y_true, 3, dtype=x.dtype) - y_pred) ** 2)
        return loss, {"loss": loss}, states.update(net_params=w)


class Killed(tg.callbacks.Callback):
    """Ends this process at once, after so many epochs."""

    def __init__(self, epoch: int):
        self.epoch = epoch

    def on_epoch_end(self, epoch: int, logs: Any) -> None:
        if epoch == self.epoch and PROCESSES - 1 == RANK:
            os.kill(os.getpid(), signal.SIGKILL)


def backed_up(data: Any, *callbacks: Any, place: str) -> Any:
    kwargs: dict[str, Any] = {"y": Y, "batch_size": 8, "validation_data": (X, Y)} if data is X else {}
    backup = tg.callbacks.BackupAndRestore(OUT / place, save_freq=4)
    return linear().fit(data, epochs=5, callbacks=[*callbacks, backup], verbose=0, **kwargs)


def killed(_: str) -> None:
    """The last process is killed when there is a backup of the middle of an epoch."""
    try:
        backed_up(X, Killed(2), place="backup")
    except tg.ProcessError as error:
        (OUT / f"told-{RANK}.txt").write_text("\n".join([str(error), *error.__notes__]))
        # JAX waits for the others when a process ends, and ends this one with an error of its own.
        os._exit(3)


def resumed(place: str) -> None:
    model, history = backed_up(X, place=place)
    keep("history", history.history)
    keep_model("model", model)


class Numbered:
    """Gives some batches, of which one may fail."""

    def __init__(self, batches: int, failing: int | None = None, inputs: int = 6):
        self.batches, self.failing, self.inputs = batches, failing, inputs

    def __iter__(self) -> Any:
        for i in range(self.batches):
            if i == self.failing:
                raise OSError("the disk is gone")
            yield X[4 * i : 4 * i + 4, : self.inputs], Y[4 * i : 4 * i + 4]


class Known(Numbered):
    def __len__(self) -> int:
        return self.batches


class LastProcess(tg.callbacks.Callback):
    """Does something in the last process alone, when a hook is called."""

    def __init__(self, hook: str, act: Any):
        if RANK == PROCESSES - 1:
            setattr(self, hook, lambda *_: act(self))
        else:
            setattr(self, hook, lambda *_: None)


class Stopping(tg.callbacks.Callback):
    """Stops after a step, in the last process alone."""

    def next_step(self, step: int) -> int | None:
        return 3 if step < 3 else None

    def on_step_end(self, step: int, logs: Any) -> None:
        if RANK == PROCESSES - 1:
            self.stop("enough")


def fails(_: Any) -> None:
    raise ZeroDivisionError("my callback is wrong")


def interrupts(_: Any) -> None:
    os.kill(os.getpid(), signal.SIGINT)


def spread(array: np.ndarray) -> jax.Array:
    everywhere = NamedSharding(tg.parallel.DataParallel().mesh, PartitionSpec())
    return jax.make_array_from_callback(array.shape, everywhere, lambda index: array[index])


def mistakes(_: str) -> None:
    """What each process is told."""
    last = RANK == PROCESSES - 1
    run: dict[str, Any] = {"batch_size": 8, "verbose": 0}
    cases: dict[str, Any] = {
        "no strategy": lambda: linear_alone().fit(X, Y, **run),
        "alone": lambda: linear_alone().evaluate(X, Y, verbose=0),
        "lengths": lambda: linear().fit(X[: 30 + last], Y[: 30 + last], **run),
        "numbers": lambda: linear().fit(X + last, Y, **run),
        "epochs": lambda: linear().fit(X, Y, epochs=1 + last, **run),
        "keys": lambda: linear(seed=int(last)),
        "other calls": lambda: linear().predict(X) if last else linear().save(OUT / "never"),
        "spread": lambda: linear().fit(spread(X), spread(Y), **run),
        "spread batches": lambda: linear().fit(iter([(spread(X), spread(Y))]), verbose=0),
        "shared examples": lambda: linear("tensors").fit(Numbered(3), verbose=0),
        "other shapes": lambda: linear().fit(Numbered(4, inputs=6 - last), verbose=0),
        "no batches": lambda: linear().fit(Numbered(0 if last else 3), verbose=0),
        "a failing iterable": lambda: linear().fit(Numbered(4, 2 if last else None), verbose=0),
        "known lengths": lambda: linear().fit(Known(3 + 3 * last), verbose=0).history.history,
        "unknown lengths": lambda: linear().fit(Numbered(3 + 3 * last), verbose=0).history.history,
        "a failing callback": lambda: linear().fit(X, Y, callbacks=LastProcess("on_epoch_end", fails), **run),
        "a directory": lambda: linear().save("/dev/null/place"),
        "stop": lambda: linear().fit(X, Y, epochs=3, callbacks=Stopping(), **run).history,
        "Ctrl-C": lambda: (
            linear().fit(X, Y, epochs=90, callbacks=LastProcess("on_epoch_end", interrupts), **run).history
        ),
    }
    told: dict[str, list[str]] = {}
    for name, case in cases.items():
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            warnings.filterwarnings("ignore", message=r"`model\.\w+\(.*\)` returns its result")
            try:
                found = case()
                said = [getattr(found, "stopped", None) or "nothing"]
            except Exception as error:
                said = [f"{type(error).__name__}: {error}"]
        told[name] = [*said, *(str(each.message) for each in warned)]
    (OUT / f"mistakes-{RANK}.json").write_text(json.dumps(told))


class InterruptedIn(tg.callbacks.Callback):
    """Interrupts the run in the middle of its second epoch, or at its end."""

    def __init__(self, middle: bool):
        self.middle = middle

    def next_step(self, step: int) -> int | None:
        return 7 if self.middle and step < 7 else None

    def on_step_end(self, step: int, logs: Any) -> None:
        self.stop("interrupted", interrupt=True)

    def on_epoch_end(self, epoch: int, logs: Any) -> None:
        if not self.middle and epoch == 1:
            self.stop("interrupted", interrupt=True)


def parts(*callbacks: Any, place: str) -> Any:
    warnings.filterwarnings("ignore", message=".*which can't be told where to resume")
    backup = tg.callbacks.BackupAndRestore(OUT / place)
    return linear("data").fit(Batches(), epochs=4, callbacks=[*callbacks, backup], verbose=0)


def interrupted(place: str) -> None:
    parts(InterruptedIn(place == "middle"), place=place)


def continued(place: str) -> None:
    try:
        model, history = parts(place=place)
    except tg.CheckpointError as error:
        (OUT / f"refused-{place}.txt").write_text(str(error))
        return
    keep("history", history.history)
    keep_model("model", model)


CHECKS = {
    check.__name__: check
    for check in (arrays, batches, saving, made, scanned, mistakes, killed, resumed, interrupted, continued)
}

if __name__ == "__main__":
    for name, each in (check.split(":") for check in sys.argv[5:]):
        FOUND.clear()
        CHECKS[name](each)
        np.savez(OUT / f"{name}-{each}-{PROCESSES}-{RANK}.npz", **FOUND)
