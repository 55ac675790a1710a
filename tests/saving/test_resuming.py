"""A run that resumes from a backup is the unbroken one, whatever its data is. It takes no other run's backup."""

import itertools
import os
import signal
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import treegy as tg
from helpers import numbers
from treegy._saving._read_checkpoints import steps_in

# Optax's Adam promotes dtypes.
pytestmark = pytest.mark.standard_promotion

N, SIZE, EPOCHS, STEPS = 12, 3, 4, 4
X = numbers(N, 3)
Y = numbers(N, 2, seed=1)
NET = eqx.nn.Sequential([eqx.nn.Linear(3, 2, key=jax.random.key(0)), eqx.nn.Dropout(0.3)])
ADAM = optax.adam(1e-2)


def make_model(seed: int = 42) -> tg.Model[Any]:
    return tg.Model(NET, loss=tg.losses.MeanSquaredError(), optimizer=ADAM, seed=seed)


class Batches:
    """What can be iterated over again."""

    def __iter__(self) -> Iterator[Any]:
        for start in range(0, N, SIZE):
            yield X[start : start + SIZE], Y[start : start + SIZE]


class SizedBatches(Batches):
    def __len__(self) -> int:
        return STEPS


def endless() -> Iterator[Any]:
    for i in itertools.count():
        yield X + np.float32(i), Y


class FailingAt(tg.callbacks.Callback):
    """Fails after a step, or at the end of an epoch."""

    def __init__(self, step: int | None = None, epoch: int | None = None):
        self.step, self.epoch = step, epoch

    def next_step(self, step):
        return self.step if self.step is not None and step < self.step else None

    def on_step_end(self, step, logs):
        raise ZeroDivisionError

    def on_epoch_begin(self, epoch, logs):
        if epoch == self.epoch:
            raise ZeroDivisionError


def fit(*use: tg.callbacks.Callback, model: Any = None, **arguments: Any) -> tuple[tg.Model[Any], tg.History]:
    if "x" not in arguments:
        arguments = {"x": X, "y": Y, "batch_size": SIZE, **arguments}
    arguments = {"epochs": EPOCHS, "verbose": 0, "steps_per_execution": 2, **arguments}
    return (model or make_model()).fit(callbacks=list(use), **arguments)


def check(found: tuple[tg.Model[Any], tg.History], expected: tuple[tg.Model[Any], tg.History]) -> None:
    """Every array of the two models, bit for bit, and all metric values."""
    for a, b in zip(jax.tree.leaves(found[0].states), jax.tree.leaves(expected[0].states), strict=True):
        if eqx.is_array(a):
            assert a.dtype == b.dtype and np.array_equal(_numbers(a), _numbers(b))
    assert repr(found[1].history) == repr(expected[1].history)  # where NaN is NaN
    assert found[1].epoch == expected[1].epoch
    assert found[1].validations == expected[1].validations


def _numbers(array: Any) -> Any:
    return jax.random.key_data(array) if jnp.issubdtype(array.dtype, jax.dtypes.prng_key) else array


def broken(directory: Path, failing: FailingAt, save_freq: Any, make: Callable[[], Any]) -> None:
    with pytest.raises(ZeroDivisionError):
        fit(failing, tg.callbacks.BackupAndRestore(directory, save_freq), **make())


@pytest.mark.parametrize(
    ("failing", "save_freq", "where"),
    [(FailingAt(epoch=2), "epoch", "epoch 3\n"), (FailingAt(step=7), 6, "epoch 2, after 2 of its steps\n")],
    ids=["between epochs", "within one"],
)
@pytest.mark.parametrize("verbose", [2, 0])
def test_where_it_resumes_is_shown(tmp_path, capsys, failing, save_freq, where, verbose):
    broken(tmp_path, failing, save_freq, dict)
    capsys.readouterr()
    fit(tg.callbacks.BackupAndRestore(tmp_path, save_freq), verbose=verbose)
    shown = capsys.readouterr().out
    assert shown.startswith(f"resumed from '{tmp_path}' in {where}epoch") if verbose else shown == ""


@pytest.mark.parametrize(
    ("failing", "save_freq", "told"),
    [
        (FailingAt(epoch=2), "epoch", r"the passes before this one \(2\) are unknown to it. That"),
        (FailingAt(step=9), 4, r"the passes before this one \(1\) are unknown to it, and its first 4 batches are read"),
        (FailingAt(step=4), 3, r"which can't be told where to resume: its first 3 batches are read"),
    ],
    ids=["between epochs", "at the last step", "within the first epoch"],
)
@pytest.mark.parametrize("kind", [Batches, SizedBatches])
def test_what_can_be_iterated_over_again(tmp_path, kind, failing, save_freq, told):
    broken(tmp_path, failing, save_freq, lambda: {"x": kind()})
    with pytest.warns(UserWarning, match=told):
        found = fit(tg.callbacks.BackupAndRestore(tmp_path, save_freq), x=kind())
    check(found, fit(x=kind()))
    assert found[1].stopped is None


@pytest.mark.parametrize("steps", [2, 3, 7])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(
    ("failing", "save_freq"),
    [(FailingAt(epoch=2), "epoch"), (FailingAt(step=8), 3)],
    ids=["between epochs", "within one"],
)
def test_epochs_that_run_on_through_arrays(tmp_path, failing, save_freq, shuffle, steps):
    """Where a pass began, and so its permutation, is known in the middle of it too."""

    def make() -> Any:
        return {"steps_per_epoch": steps, "shuffle": shuffle}

    broken(tmp_path, failing, save_freq, make)
    check(fit(tg.callbacks.BackupAndRestore(tmp_path, save_freq), **make()), fit(**make()))


@pytest.mark.parametrize("save_freq", ["epoch", 2])
def test_generators_with_epochs_of_a_length_of_their_own(tmp_path, save_freq):
    def make() -> Any:
        return {"x": endless(), "steps_per_epoch": 3}

    broken(tmp_path, FailingAt(step=8), save_freq, make)
    with pytest.warns(UserWarning, match="its first 6 batches are read and left out"):
        found = fit(tg.callbacks.BackupAndRestore(tmp_path, save_freq), **make())
    check(found, fit(**make()))


@pytest.mark.parametrize("often", [1, [2, 4], tg.Every(steps=3), tg.Every(fraction=0.5)], ids=str)
def test_validation_goes_on_where_it_was(tmp_path, often):
    """On a generator, each validation sees other batches."""

    def make() -> Any:
        return {"validation_data": endless(), "validation_steps": 2, "validation_freq": often}

    broken(tmp_path, FailingAt(step=11), 2, make)
    with pytest.warns(UserWarning, match=r"`validation_data` is .*generator, which can't be told .* batches are read"):
        found = fit(tg.callbacks.BackupAndRestore(tmp_path, 2), **make())
    check(found, fit(**make()))


def test_a_validation_that_begins_anew_is_left_alone(tmp_path):
    def make() -> Any:
        return {"validation_data": Batches()}

    broken(tmp_path, FailingAt(step=11), 2, make)
    check(fit(tg.callbacks.BackupAndRestore(tmp_path, 2), **make()), fit(**make()))


def test_class_weights(tmp_path):
    labels = np.arange(N) % 2

    def make() -> Any:
        loss = tg.losses.SparseCategoricalCrossentropy(from_logits=True)
        return {"y": labels, "class_weight": {0: 1.0, 1: 3.0}, "model": make_model().replace(loss=loss)}

    broken(tmp_path, FailingAt(step=7), 2, make)
    check(fit(tg.callbacks.BackupAndRestore(tmp_path, 2), **make()), fit(**make()))


@pytest.mark.parametrize("save_freq", ["epoch", 2])
def test_another_seed_changes_nothing(tmp_path, save_freq):
    """Orders and keys are those of the backup."""
    broken(tmp_path, FailingAt(step=7), save_freq, dict)
    check(fit(tg.callbacks.BackupAndRestore(tmp_path, save_freq), model=make_model(7)), fit())


def test_what_must_be_as_it_was(tmp_path):
    broken(tmp_path, FailingAt(step=7), 2, dict)
    backup = tg.callbacks.BackupAndRestore(tmp_path, 2)
    with pytest.raises(tg.CheckpointError, match="of a run with `shuffle=True`, and now it is False"):
        fit(backup, shuffle=False)
    with pytest.raises(tg.CheckpointError, match="of a run with `steps_per_epoch=None`, and now it is 2"):
        fit(backup, steps_per_epoch=2)
    without = "in batches of 3, and now there are 12 examples in batches of 3, without the remainder"
    with pytest.raises(tg.CheckpointError, match=without):
        fit(backup, drop_remainder=True)
    with pytest.raises(tg.CheckpointError, match="is of a run on arrays, and now the data is something"):
        fit(backup, x=Batches())
    with pytest.raises(tg.CheckpointError, match="is of a run with other losses or metrics"):
        fit(backup, model=make_model().replace(metrics=tg.metrics.MeanAbsoluteError()))
    check(fit(backup), fit())


class Fewer(Batches):
    """Gives less than it did."""

    def __iter__(self) -> Iterator[Any]:
        return itertools.islice(super().__iter__(), 1)


class Placed(Batches):
    """Can be set to a place, and is told of one that it doesn't know."""

    def __init__(self, knows: bool = True):
        self.knows, self.i = knows, 0

    def __iter__(self) -> Iterator[Any]:
        self.i = 0
        return self

    def __next__(self) -> Any:
        if self.i == STEPS:
            raise StopIteration
        self.i += 1
        return X[(self.i - 1) * SIZE : self.i * SIZE], Y[(self.i - 1) * SIZE : self.i * SIZE]

    def get_state(self) -> dict[str, int]:
        return {"i": self.i}

    def set_state(self, state: dict[str, int]) -> None:
        if not self.knows:
            raise KeyError("there is no such place")
        self.i = state["i"]


def test_batches_that_are_not_as_they_were(tmp_path):
    broken(tmp_path / "fewer", FailingAt(step=7), 2, lambda: {"x": Batches()})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(tg.CheckpointError, match="`x` has fewer batches than were read of it then: 2"):
            fit(tg.callbacks.BackupAndRestore(tmp_path / "fewer", 2), x=Fewer())
    broken(tmp_path / "placed", FailingAt(step=7), 2, lambda: {"x": Placed()})
    with pytest.raises(tg.CheckpointError, match="`x` can't be set to where the backup was made: .*no such place"):
        fit(tg.callbacks.BackupAndRestore(tmp_path / "placed", 2), x=Placed(knows=False))


@pytest.mark.parametrize("failing", [FailingAt(epoch=2), FailingAt(step=11)], ids=["between", "within"])
def test_order_depends_on_what_callbacks_are_told(tmp_path, failing):
    """As `set_epoch` of many a loader: what is looked at before training is no part of the pass."""

    class Seeded(Batches, tg.callbacks.Callback):
        epoch = 0

        def on_epoch_begin(self, epoch, logs):
            self.epoch = epoch

        def state(self):
            return {"epoch": self.epoch}

        def restore(self, state):
            self.epoch = state["epoch"]

        def __iter__(self):
            for i in np.random.default_rng(self.epoch).permutation(N).reshape(-1, SIZE):
                yield X[i], Y[i]

    data, backup = Seeded(), tg.callbacks.BackupAndRestore(tmp_path, save_freq="epoch" if failing.epoch else 2)
    with pytest.raises(ZeroDivisionError):
        fit(data, failing, backup, x=data)
    data, again = Seeded(), Seeded()
    with pytest.warns(UserWarning, match="the passes before this one"):
        found = fit(data, backup, x=data)
    check(found, fit(again, x=again))


# Ctrl-C, which reaches the processes of a loader as well


class Reached(Batches):
    """Fails at its `n`-th batch, as a loader whose workers got the signal."""

    def __init__(self, n: int, interrupts: bool = True):
        self.left, self._interrupts = n, interrupts

    def __iter__(self) -> Iterator[Any]:
        for batch in super().__iter__():
            self.left -= 1
            if self.left == 0 and self._interrupts:
                os.kill(os.getpid(), signal.SIGINT)
            if self.left == 0:
                raise RuntimeError("DataLoader worker exited unexpectedly")
            yield batch


@pytest.mark.parametrize("n", range(2, 12))
def test_ctrl_c_reaches_a_loader(tmp_path, n):
    """Wherever it fails: what was read is trained on, a backup is there, and the rest is as if nothing had been."""
    backup = tg.callbacks.BackupAndRestore(tmp_path)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        model, history = fit(backup, x=Reached(n))
    assert history.stopped == "interrupted"
    assert int(model.states.step) == n - 1 and steps_in(tmp_path)[-1] == n - 1
    assert all(
        "after Ctrl-C, which loaders' processes get too, this failed: RuntimeError" in str(w.message) for w in told
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`x` is an instance of Batches, which can't be told where to resume")
        check(fit(backup, x=Batches()), fit(x=Batches()))


@pytest.mark.parametrize("often", [1, tg.Every(steps=3)], ids=str)
@pytest.mark.parametrize("n", [2, 6])
def test_ctrl_c_while_validating(tmp_path, often, n):
    """A validation that failed is made up for."""
    backup = tg.callbacks.BackupAndRestore(tmp_path)
    with pytest.warns(UserWarning, match="after Ctrl-C, which loaders' processes get too"):
        _, history = fit(backup, validation_data=Reached(n), validation_freq=often)
    assert history.stopped == "interrupted"
    check(
        fit(backup, validation_data=Batches(), validation_freq=often),
        fit(validation_data=Batches(), validation_freq=often),
    )


def test_who_fails_without_ctrl_c_fails():
    with pytest.raises(RuntimeError, match="worker exited"):
        fit(x=Reached(6, interrupts=False))


# Whose backup it is


def test_two_trainings_with_one_directory(tmp_path):
    backup = tg.callbacks.BackupAndRestore(tmp_path)
    first, _ = fit(backup)
    with (
        pytest.warns(UserWarning, match="a run of this process has ended in .*: give each a directory of its own"),
        pytest.raises(ZeroDivisionError),
    ):
        fit(FailingAt(epoch=2), backup, model=first)
    # The script again: the first training is not the one of which there is a backup.
    of_another = (
        r"The backup in '.*' is of another run: that began at step 16 of its model, and made 8 steps; this one "
        r"begins at step 0\. Give each run a directory of its own\."
    )
    with pytest.raises(tg.CheckpointError, match=of_another):
        fit(backup)
    assert steps_in(tmp_path) == [20, 24]
    expected = fit(model=first)
    found = fit(backup, model=first)
    check(found, expected)


def test_a_second_training_after_one_whose_backup_was_kept(tmp_path):
    backup = tg.callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False)
    first, _ = fit(backup)
    with pytest.raises(tg.CheckpointError, match="of another run: that began at step 0 of its model"):
        fit(backup, model=first)


def test_fit_again_after_ctrl_c_goes_on(tmp_path):
    """As in a notebook, where the model that is passed is the one that was interrupted."""
    backup = tg.callbacks.BackupAndRestore(tmp_path)

    class Stopping(tg.callbacks.Callback):
        def heartbeat(self, step):
            if step == 6:
                self.stop(interrupt=True)

    model, history = fit(Stopping(), backup)
    assert (history.stopped, int(model.states.step)) == ("Stopping", 6)
    check(fit(backup, model=model), fit())
