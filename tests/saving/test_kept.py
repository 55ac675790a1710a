"""What is kept, what is left alone, and what `load` gives."""

import contextlib
import errno
import math
import multiprocessing
import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import treegy as tg
from helpers import ADAM, Faked, X, Y, fit, make_model, same
from treegy._saving._checkpoints import Checkpoints
from treegy._saving._manifest import save_tree
from treegy._saving._read_checkpoints import steps_in
from treegy._saving._saved import load_tree

# Optax's Adam promotes dtypes.
pytestmark = [pytest.mark.standard_promotion, pytest.mark.once]

NET: Any = make_model().module


class FailingIn(tg.callbacks.Callback):
    def __init__(self, epoch: int):
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs):
        if epoch == self.epoch:
            raise ZeroDivisionError


# Nothing is removed that treegy didn't make


NOT_OURS = ["0", "1", "2019", "007", "²", "٣"]


@pytest.mark.parametrize("use", ["backup", "all", "last", "best"])
def test_what_others_have_made_is_left_alone(tmp_path, use):
    made = {
        "backup": tg.callbacks.BackupAndRestore,
        "all": lambda path: tg.callbacks.ModelCheckpoint(path, overwrite=True),
        "last": lambda path: tg.callbacks.ModelCheckpoint(path, keep=1, overwrite=True),
        "best": lambda path: tg.callbacks.ModelCheckpoint(path, monitor="loss", save_best_only=True, overwrite=True),
    }
    for name in NOT_OURS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "document").mkdir()
        (tmp_path / name / "photo.jpg").write_text("mine")
    (tmp_path / "33").write_text("a file")
    (tmp_path / "34").symlink_to(tmp_path / "34")
    (tmp_path / ".writing-5-0123456789abcdef").mkdir()
    (tmp_path / ".writing-5-0123456789abcdef" / "photo.jpg").write_text("mine")
    before = {p for p in tmp_path.rglob("*")}
    model = make_model()
    for _ in range(2):
        fit(made[use](tmp_path), model=model)
    assert before <= set(tmp_path.rglob("*"))
    assert (tmp_path / "33").read_text() == "a file"


def test_what_stands_in_the_way_is_named(tmp_path):
    for name, make in (
        ("8", lambda p: p.mkdir()),
        ("4", lambda p: p.write_text("")),
        ("12", lambda p: p.symlink_to("x")),
    ):
        path = tmp_path / name
        path.mkdir()
        make(path / name)
        told = rf"'.*{name}' is in the way of the checkpoint of step {name}: treegy hasn't written it"
        if name == "12":  # the last one
            with pytest.warns(UserWarning, match=told):
                fit(tg.callbacks.ModelCheckpoint(path))
        else:
            with pytest.raises(tg.CheckpointError, match=told):
                fit(tg.callbacks.ModelCheckpoint(path))
        assert os.path.lexists(path / name)


def test_what_lies_in_a_checkpoint_stays(tmp_path):
    fit(tg.callbacks.ModelCheckpoint(tmp_path))
    (tmp_path / "8" / "notes.txt").write_text("mine")
    fit(tg.callbacks.ModelCheckpoint(tmp_path, keep=1, overwrite=True), epochs=1)
    assert [p.name for p in (tmp_path / "8").iterdir()] == ["notes.txt"]
    assert steps_in(tmp_path) == [4]
    with pytest.raises(tg.CheckpointError, match="'.*8' is in the way of the checkpoint of step 8"):
        fit(tg.callbacks.ModelCheckpoint(tmp_path, overwrite=True))


def test_checkpoints_behind_links_are_not_removed(tmp_path):
    fit(tg.callbacks.ModelCheckpoint(tmp_path / "a"), epochs=1)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "4").symlink_to(tmp_path / "a" / "4")
    assert same(make_model().load(tmp_path / "b").states, make_model().load(tmp_path / "a").states)
    fit(tg.callbacks.ModelCheckpoint(tmp_path / "b", save_freq=3, keep=1, overwrite=True), epochs=1)
    assert steps_in(tmp_path / "a") == [4] and steps_in(tmp_path / "b") == [3, 4]
    with pytest.raises(tg.CheckpointError, match="4' is in the way of the checkpoint of step 4"):
        fit(tg.callbacks.ModelCheckpoint(tmp_path / "b", keep=1, overwrite=True), epochs=2)


def test_what_passes_is_no_damage(tmp_path, monkeypatch):
    """No older checkpoint is loaded because there is no memory for this one."""
    fit(tg.callbacks.ModelCheckpoint(tmp_path))
    for error in (MemoryError(), OSError(errno.EMFILE, "Too many open files")):

        def fail(*_: Any, error: Exception = error) -> Any:
            raise error

        with monkeypatch.context() as patch:
            patch.setattr("treegy._saving._stored._read_arrays", fail)
            with pytest.raises(tg.CheckpointError, match="12' can't be read: "):
                make_model().load(tmp_path)


def test_what_a_killed_process_left_is_removed(tmp_path):
    left = tmp_path / ".writing-4-0123456789abcdef"
    left.mkdir()
    for name in ("treegy.bin", "treegy.json"):
        (left / name).write_text("half")
    fit(tg.callbacks.ModelCheckpoint(tmp_path))
    assert not left.exists() and steps_in(tmp_path) == [4, 8, 12]


# One directory is for one kind


def test_a_directory_is_for_one_kind(tmp_path):
    model, _ = fit(tg.callbacks.ModelCheckpoint(tmp_path / "checkpoints"))
    with pytest.raises(tg.CheckpointError, match="holds checkpoints, the last of step 12: save into a"):
        model.save(tmp_path / "checkpoints")
    model.save(tmp_path / "saved")
    for use in (tg.callbacks.ModelCheckpoint, tg.callbacks.BackupAndRestore):
        with pytest.raises(
            tg.CheckpointError, match="holds a model that `save` has written: give checkpoints a directory"
        ):
            fit(use(tmp_path / "saved"))
        assert {p.name.partition("-")[0] for p in (tmp_path / "saved").iterdir()} <= {"manifest.json", "data", ".lock"}
    assert same(model.load(tmp_path / "saved").states, model.states)


def test_models_and_backups_have_directories_of_their_own(tmp_path):
    fit(tg.callbacks.ModelCheckpoint(tmp_path / "models"))
    fit(tg.callbacks.BackupAndRestore(tmp_path / "backups", delete_checkpoint=False))
    backup = tg.callbacks.BackupAndRestore(tmp_path / "models", overwrite=True)
    models = tg.callbacks.ModelCheckpoint(tmp_path / "backups", keep=1, overwrite=True)
    for use, found in ((backup, "treegy model"), (models, "treegy run")):
        with pytest.raises(tg.CheckpointError, match=f"holds checkpoints of another kind \\('{found}', and here these"):
            fit(use)
    assert steps_in(tmp_path / "models") == [4, 8, 12] and steps_in(tmp_path / "backups") == [8, 12]


def test_what_is_no_step(tmp_path):
    fit(tg.callbacks.ModelCheckpoint(tmp_path, save_freq=1), epochs=1)
    for step in (True, 1.0, "1", -1):
        with pytest.raises((TypeError, ValueError)):
            make_model().load(tmp_path, step=step)  # type: ignore[arg-type]


def test_both_kinds_in_one_directory(tmp_path):
    """As somebody may have copied them."""
    model, _ = fit(tg.callbacks.ModelCheckpoint(tmp_path / "one"))
    model.save(tmp_path / "two")
    for file in (tmp_path / "two").iterdir():
        file.rename(tmp_path / "one" / file.name)
    with pytest.raises(tg.CheckpointError, match="holds a saved model and checkpoints of the steps 4, 8, 12: which of"):
        model.load(tmp_path / "one")
    assert int(model.load(tmp_path / "one", step=8).states.step) == 8


# Several who save into one place


SAVING = """
import sys
import jax.numpy as jnp
from treegy._saving._manifest import save_tree
for i in range(15):
    save_tree({"a": jnp.full(50_000, float(i)), "b": jnp.full(3, float(i))}, sys.argv[1])
"""


def test_processes_that_save_into_one_directory(tmp_path):
    """A reader finds a whole one at every moment, and one is left."""
    like = {"a": jnp.zeros(50_000), "b": jnp.zeros(3)}
    save_tree(like, tmp_path)
    command = [sys.executable, "-c", SAVING, str(tmp_path)]
    running = [subprocess.Popen(command) for _ in range(2)]
    looked = 0
    while any(process.poll() is None for process in running):
        found = load_tree(like, tmp_path)
        assert len({*np.asarray(found["a"]).tolist(), *np.asarray(found["b"]).tolist()}) == 1
        looked += 1
    assert [process.returncode for process in running] == [0, 0] and looked
    assert len(list(tmp_path.iterdir())) == 2


def test_threads_that_save_into_one_directory(tmp_path):
    model = make_model().init(X, Y)
    models = [model.replace(seed=i) for i in range(4)]
    failed: list[BaseException] = []

    def save(one: Any) -> None:
        try:
            for _ in range(10):
                one.save(tmp_path)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=save, args=(one,)) for one in models]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        with contextlib.suppress(FileNotFoundError):
            if (tmp_path / "manifest.json").exists():
                model.load(tmp_path)
    assert not failed and len(list(tmp_path.iterdir())) == 2


def test_a_reader_of_a_run_that_keeps_one(tmp_path):
    """What is removed while it is read has a newer one."""
    done = threading.Event()
    fit(tg.callbacks.ModelCheckpoint(tmp_path, keep=1), epochs=1)
    failed: list[BaseException] = []

    def read() -> None:
        while not done.is_set():
            try:
                make_model().load(tmp_path)
            except BaseException as error:
                failed.append(error)
                return

    reader = threading.Thread(target=read)
    reader.start()
    try:
        fit(tg.callbacks.ModelCheckpoint(tmp_path, keep=1, save_freq=1), model=make_model().load(tmp_path), epochs=10)
    finally:
        done.set()
        reader.join()
    assert not failed


# Models that were saved before training


class Growing(tg.Model[Any]):
    """Makes its parameters in its first step."""

    def pred_step(self, x, states, initializing):
        if initializing:
            states = states.update(net_params=jnp.ones((x.shape[-1], 2)), extra=jnp.zeros(()))
        return x @ states.net_params, states


@pytest.mark.parametrize("initialized", [False, True])
def test_a_model_that_was_saved_before_training(tmp_path, initialized):
    model = make_model(seed=7)
    model.save(tmp_path)
    into = make_model() if not initialized else fit(epochs=1)[0]
    loaded = into.load(tmp_path)
    assert not loaded.initialized
    found, history = fit(model=loaded)
    expected, of_expected = fit(model=model)
    assert same(found.states, expected.states) and history.history == of_expected.history


def test_a_model_without_parameters_yet(tmp_path):
    model = Growing(loss=tg.losses.MeanSquaredError(), optimizer=ADAM, seed=7)
    model.save(tmp_path)
    trained, history = fit(model=model)
    for into in (Growing(loss=model.loss, optimizer=ADAM), trained):
        loaded = into.load(tmp_path)
        assert not loaded.initialized
        found, of_found = fit(model=loaded)
        assert same(found.states, trained.states) and of_found.history == history.history
    trained.save(tmp_path)
    # As an average of the parameters is: what steps add to the states is taken from the file.
    assert same(model.init(X, Y).load(tmp_path).states, trained.states)


def test_optimizer_states_that_were_dropped(tmp_path):
    trained, _ = fit()
    dropped = trained.replace(states=trained.states.update(optimizer_states=None))
    dropped.save(tmp_path)
    for into in (make_model(), trained):
        loaded = into.load(tmp_path)
        assert loaded.states.optimizer_states is None and same(loaded.module, trained.module)
        fit(model=loaded, epochs=1)


# The module alone


class Normed(eqx.Module):
    linear: eqx.nn.Linear
    norm: eqx.nn.BatchNorm

    def __init__(self):
        self.linear = eqx.nn.Linear(3, 2, key=jax.random.key(0))
        self.norm = eqx.nn.BatchNorm(2, "batch", mode="batch")

    def __call__(self, x, state):
        return self.norm(self.linear(x), state)


def normed(optimizer: Any = ADAM, **fields: Any) -> tg.Model[Any]:
    net, state = eqx.nn.make_with_state(Normed)()
    return tg.Model(net, state=state, loss=tg.losses.MeanSquaredError(), optimizer=optimizer, **fields)


@pytest.mark.parametrize("form", ["saved", "checkpoints"])
@pytest.mark.parametrize("optimizer", [None, optax.sgd(0.1), optax.sgd(0.1, momentum=0.9), ADAM])
def test_the_module_alone(tmp_path, form, optimizer):
    trained, _ = fit(tg.callbacks.ModelCheckpoint(tmp_path / "checkpoints"), model=normed())
    trained.save(tmp_path / "saved")
    loaded = normed(optimizer).load(tmp_path / form, only="module")
    assert not loaded.initialized
    assert np.array_equal(loaded.predict(X), trained.predict(X))
    assert same(loaded.module, trained.module) and same(loaded.state, trained.state)
    if optimizer is None:
        return
    # Trained on, its optimizer begins; one that has begun goes on.
    begun, _ = fit(model=normed(optimizer), epochs=1)
    found = begun.load(tmp_path / form, only="module")
    assert same(found.module, trained.module)
    assert same(found.states.optimizer_states, begun.states.optimizer_states)
    assert int(found.states.step) == int(begun.states.step)
    fit(model=loaded, epochs=1)
    fit(model=found, epochs=1)


@pytest.mark.parametrize("form", ["saved", "checkpoints"])
def test_which_parts_were_trained_does_not_matter_for_the_module(tmp_path, form):
    trained, _ = fit(tg.callbacks.ModelCheckpoint(tmp_path / "checkpoints"))
    trained.save(tmp_path / "saved")
    frozen = jax.tree.map(lambda _: False, NET)
    frozen = eqx.tree_at(lambda net: net.layers[-1].weight, frozen, True)
    model = make_model(trainable=frozen)
    with pytest.raises(tg.CheckpointError):
        model.load(tmp_path / form)
    assert same(model.load(tmp_path / form, only="module").module, trained.module)


def test_parameters_without_a_module(tmp_path):
    model = Growing(loss=tg.losses.MeanSquaredError(), optimizer=ADAM)
    trained, _ = fit(model=model)
    trained.save(tmp_path)
    loaded = Growing(loss=model.loss, optimizer=optax.sgd(0.1)).load(tmp_path, only="module")
    assert np.array_equal(loaded.predict(X), trained.predict(X))
    fit(model=loaded, epochs=1)


@pytest.mark.parametrize("form", ["saved", "checkpoints"])
@pytest.mark.parametrize("ema", [False, True])
def test_the_module_alone_is_what_was_measured(tmp_path, form, ema):
    """Also where the optimizer, which isn't loaded, evaluates at other parameters than it trains."""
    optimizer = optax.contrib.schedule_free_sgd(0.1)
    make = lambda: make_model(tg.with_ema(optimizer, 0.5) if ema else optimizer)  # noqa: E731
    callbacks = [tg.callbacks.ModelCheckpoint(tmp_path / "checkpoints"), *([tg.callbacks.EMA()] if ema else [])]
    trained, _ = fit(*callbacks, model=make(), validation_data=(X, Y))
    measured = trained.averaged() if ema and form == "checkpoints" else trained
    trained.save(tmp_path / "saved")
    y_pred = measured.predict(X)
    assert not np.allclose(jax.vmap(trained.module)(X), y_pred, rtol=1e-4)
    for other in (make(), make_model(optax.sgd(0.1)), make_model(None)):
        alone = other.load(tmp_path / form, only="module")
        np.testing.assert_allclose(jax.vmap(alone.module)(X), y_pred, rtol=1e-4)
        np.testing.assert_allclose(alone.predict(X), y_pred, rtol=1e-4)
        trains = other.load(tmp_path / form, only="module", averaged=False)
        assert same(trains.parameters, trained.parameters)
    np.testing.assert_allclose(make().load(tmp_path / form).predict(X), y_pred, rtol=1e-4)
    rest = [fit(model=model, epochs=1)[0] for model in (trained, make().load(tmp_path / form, averaged=False))]
    assert same(rest[0].parameters, rest[1].parameters)


@pytest.mark.parametrize("form", ["saved", "checkpoints"])
def test_the_error_of_another_optimizer_says_how(tmp_path, form):
    trained, _ = fit(tg.callbacks.ModelCheckpoint(tmp_path / "checkpoints"))
    trained.save(tmp_path / "saved")
    for optimizer in (None, optax.sgd(0.1)):
        with pytest.raises(tg.CheckpointError, match=r'optimizer_states(?s:.*)`load\(path, only="module"\)` takes the'):
            make_model(optimizer).load(tmp_path / form)
    with pytest.raises(tg.CheckpointError) as info:
        make_model(optax.sgd(0.1)).replace(module=eqx.nn.Linear(3, 2, key=jax.random.key(0))).load(tmp_path / form)
    assert "only=" not in str(info.value)
    with pytest.raises(ValueError, match="`only` is 'modul'; \"module\" or None is expected"):
        trained.load(tmp_path / form, only="modul")


# Hyperparameters


INJECTED = {
    "tg.Optimizer": lambda rate: tg.Optimizer(optax.adam, rate),
    "inject": lambda rate: optax.inject_hyperparams(optax.adam)(learning_rate=rate),
    "chain": lambda rate: optax.chain(optax.clip(1.0), optax.inject_hyperparams(optax.sgd)(learning_rate=rate)),
}


@pytest.mark.parametrize("make", INJECTED.values(), ids=INJECTED)
@pytest.mark.parametrize("form", ["saved", "checkpoints"])
def test_a_rate_that_is_not_the_one_of_the_model(tmp_path, make, form):
    trained, _ = fit(tg.callbacks.ModelCheckpoint(tmp_path / "checkpoints"), model=make_model(make(0.01)))
    trained.save(tmp_path / "saved")
    other = make_model(make(0.05))
    told = r"what was loaded holds: `(lr|learning_rate)` is 0.01, and the model was built with 0.05\. To have what"
    with pytest.warns(UserWarning, match=told) as found:
        loaded = other.load(tmp_path / form)
    assert len(found) == 1 and found[0].filename == __file__
    name = "lr" if "lr" in fit(model=other, epochs=1)[1] else "learning_rate"
    rate = lambda model: fit(model=model, epochs=1)[1][name]  # noqa: E731
    assert rate(loaded) == pytest.approx([0.01])
    assert rate(loaded.replace(optimizer=other.optimizer)) == pytest.approx([0.05])
    make_model(make(0.01)).load(tmp_path / form)
    other.load(tmp_path / form, only="module")


def test_a_rate_that_follows_a_schedule_is_none_of_this(tmp_path):
    optimizer = tg.Optimizer(optax.adam, optax.linear_schedule(0.1, 0.0, 10))
    fit(model=make_model(optimizer))[0].save(tmp_path)
    make_model(optimizer).load(tmp_path)


def test_a_run_that_began_with_another_rate(tmp_path):
    def run(rate: float, *use: Any, **arguments: Any) -> list[float]:
        rates = tg.callbacks.LearningRateScheduler(lambda epoch, lr: lr / 2)
        model = make_model(tg.Optimizer(optax.adam, rate))
        return fit(*use, rates, tg.callbacks.BackupAndRestore(tmp_path), model=model, **arguments)[1]["lr"]

    with pytest.raises(ZeroDivisionError):
        run(0.5, FailingIn(1))
    with pytest.raises(ZeroDivisionError):
        run(0.5, FailingIn(2))
    told = r"the run of the backup in '.*' began with `lr` 0\.5, and now 0\.25: it resumes with what the backup holds"
    with pytest.warns(UserWarning, match=told) as found:
        assert run(0.25) == [0.25, 0.125, 0.0625]
    assert len(found) == 1


# The best


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("keep", [1, 2, 3, 5])
def test_the_best_are_kept(tmp_path, mode, keep):
    """Whatever their order, with NaN among them: against sorting."""
    rng = np.random.default_rng(keep)
    for i in range(4):
        values = [float(v) for v in rng.permutation(8)]
        values[int(rng.integers(8))] = math.nan
        path = tmp_path / str(i) / "d"
        best = tg.callbacks.ModelCheckpoint(path, "score", mode, save_best_only=True, keep=keep)
        fit(Faked(*values, name="score"), best, epochs=8)
        sign = 1 if mode == "min" else -1
        ranked = sorted((e for e in range(8) if not math.isnan(values[e])), key=lambda e: sign * values[e])
        assert steps_in(path) == sorted(4 * (e + 1) for e in ranked[:keep])
        assert int(make_model().load(path).states.step) == 4 * (ranked[0] + 1)


def test_the_next_best_is_loaded_if_the_best_is_damaged(tmp_path):
    fit(Faked(3.0, 1.0, 2.0), tg.callbacks.ModelCheckpoint(tmp_path, "score_loss", save_best_only=True, keep=3))
    for name, step in (("treegy.bin", 12), ("treegy.json", 12)):
        (tmp_path / "8" / name).write_bytes(b"")
        with pytest.warns(UserWarning, match=rf"8' is damaged: .* The one of step {step} is loaded instead"):
            assert int(make_model().load(tmp_path).states.step) == step


def test_the_best_of_a_run_that_was_interrupted(tmp_path):
    """Also where the best at the time of the backup has been replaced since: as if nothing had been."""
    values = (0.5, 0.3, 0.35, 0.2, 0.4, 0.25)
    for fails_in in range(2, 6):
        path = tmp_path / str(fails_in)

        def run(path: Path, *use: Any) -> None:
            best = tg.callbacks.ModelCheckpoint(path / "best", "score_loss", save_best_only=True, keep=2)
            fit(Faked(*values), best, *use, tg.callbacks.BackupAndRestore(path / "backup", save_freq=7), epochs=6)

        with pytest.raises(ZeroDivisionError):
            run(path, FailingIn(fails_in))
        run(path)
        assert steps_in(path / "best") == [16, 24]


def test_a_threshold(tmp_path):
    use = tg.callbacks.ModelCheckpoint(tmp_path, "score_loss", save_best_only=True, keep=2, initial_value_threshold=1.5)
    fit(Faked(3.0, 1.0, 2.0), use)
    assert steps_in(tmp_path) == [8]


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (
            {"monitor": "val_loss"},
            r"`monitor` is 'val_loss', and every model is kept, however good it is: with `save_be",
        ),
        ({"mode": "max"}, r"`mode` is 'max', and every model is kept"),
        ({"initial_value_threshold": 0.5}, r"`initial_value_threshold` is 0.5, and every model is kept"),
        ({"mode": "smallest"}, '`mode` is \'smallest\'; "auto", "min" or "max" is expected'),
        ({"mode": "smallest", "save_best_only": True}, '`mode` is \'smallest\'; "auto", "min" or "max" is expected'),
        ({"monitor": "score_of_mine_x", "mode": "auto", "save_best_only": True, "keep": 0}, "`keep` is 0"),
    ],
)
def test_arguments_that_would_be_ignored(tmp_path, arguments, match):
    with pytest.raises(ValueError, match=match):
        tg.callbacks.ModelCheckpoint(tmp_path, **arguments)


def test_a_default_that_is_passed(tmp_path):
    tg.callbacks.ModelCheckpoint(tmp_path, mode="auto")
    tg.callbacks.ModelCheckpoint(tmp_path, monitor="val_loss", save_best_only=True)


# Whose backup it is


def test_a_second_run_of_the_same_process(tmp_path):
    backup = tg.callbacks.BackupAndRestore(tmp_path)
    model = make_model()
    first, _ = fit(backup, model=model)
    again, _ = fit(backup, model=model)  # the cell of a notebook
    assert same(first.states, again.states)
    told = r"a run of this process has ended in '.*', and this one begins at step 0, too, with another model"
    with pytest.raises(tg.CheckpointError, match=told):
        fit(backup)
    with pytest.raises(tg.CheckpointError, match=told):
        fit(tg.callbacks.BackupAndRestore(str(tmp_path) + os.sep, delete_checkpoint=False))
    found, _ = fit(tg.callbacks.BackupAndRestore(tmp_path, overwrite=True))
    assert same(found.states, first.states)


def test_a_finished_backup_is_not_another_run_s(tmp_path):
    """The second of a loop over models would else be the first, untrained."""
    keeping = tg.callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False)
    fit(keeping)
    with pytest.raises(tg.CheckpointError, match="Give each run a directory of its own, or pass `overwrite=True`"):
        fit(keeping, model=make_model(optax.adam(0.5)))
    replacing = tg.callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False, overwrite=True)
    found, _ = fit(replacing, model=make_model(optax.adam(0.5)), epochs=2)
    assert same(found.states, fit(model=make_model(optax.adam(0.5)), epochs=2)[0].states)
    assert steps_in(tmp_path) == [4, 8]


def test_the_backup_of_a_run_that_began_elsewhere_can_be_replaced(tmp_path):
    model, _ = fit()
    with pytest.raises(ZeroDivisionError):
        fit(FailingIn(2), tg.callbacks.BackupAndRestore(tmp_path), model=model)
    with pytest.raises(tg.CheckpointError, match="is of another run: that began at step 12"):
        fit(tg.callbacks.BackupAndRestore(tmp_path))
    found, _ = fit(tg.callbacks.BackupAndRestore(tmp_path, overwrite=True))
    assert same(found.states, model.states)


# Names keep their places


def test_resuming_changes_no_name_s_place(tmp_path):
    def metrics(y_true: Any, y_pred: Any) -> Any:
        return {"zebra": jnp.mean(jnp.abs(y_true - y_pred), -1), "ape": jnp.mean(y_pred, -1)}

    def run(path: Path, *use: Any) -> tuple[tg.History, str]:
        model = make_model().replace(metrics=metrics)
        logger = tg.callbacks.CSVLogger(path / "log.csv")
        backup = tg.callbacks.BackupAndRestore(path / "backup", save_freq=3)
        often: dict[str, Any] = {"validation_data": (X, Y), "validation_freq": tg.Every(steps=2)}
        _, history = fit(logger, *use, backup, model=model, **often)
        return history, (path / "log.csv").read_text()

    (tmp_path / "broken").mkdir()
    (tmp_path / "whole").mkdir()
    expected, rows = run(tmp_path / "whole")
    assert list(expected) == ["loss", "mean_squared_error_loss", "metrics/zebra", "metrics/ape"] + [
        f"val_{name}" for name in ("loss", "mean_squared_error_loss", "metrics/zebra", "metrics/ape")
    ]
    for fails_in in (1, 2):
        with pytest.raises(ZeroDivisionError):
            run(tmp_path / "broken", FailingIn(fails_in))
    history, found = run(tmp_path / "broken")
    assert list(history.history.items()) == list(expected.history.items()) and found == rows
    assert [(s, list(v.items())) for s, v in history.validations] == [
        (s, list(v.items())) for s, v in expected.validations
    ]


# Monitors


@pytest.mark.parametrize(
    "make",
    [
        lambda monitor, path: tg.callbacks.EarlyStopping(monitor, mode="min"),
        lambda monitor, path: tg.callbacks.ModelCheckpoint(path, monitor, "min", save_best_only=True),
        lambda monitor, path: tg.callbacks.ReduceLROnPlateau(monitor, mode="min"),
    ],
)
def test_a_misspelt_monitor_is_told_before_the_first_step(tmp_path, make):
    steps: list[int] = []
    count = tg.callbacks.LambdaCallback(on_step_end=lambda step, logs: steps.append(step))
    model = make_model(tg.Optimizer(optax.adam, 1e-2))
    told = r"\(monitor='val_los'\)`: there is no such .*, but lr, loss, .*, val_loss, .*Did you mean 'val_loss'\?"
    with pytest.raises(KeyError, match=told):
        fit(count, make("val_los", tmp_path), model=model, validation_data=(X, Y))
    with pytest.raises(KeyError, match="There is no validation: pass `validation_data`"):
        fit(count, make("val_loss", tmp_path), model=model)
    assert steps == []
    for name in ("loss", "val_loss", "lr", "mean_squared_error_loss"):
        fit(make(name, tmp_path / name), model=model, validation_data=(X, Y), epochs=1)


class Logging(tg.Model[Any]):
    def train_step(self, *args: Any, **kwargs: Any):
        logs, states = super().train_step(*args, **kwargs)
        return {**logs, "of_step": jnp.ones(())}, states


def test_names_of_one_s_own(tmp_path):
    """Of a step, which are known before; and of a callback, wherever it stands, which aren't."""
    model = Logging(NET, loss=tg.losses.MeanSquaredError(), optimizer=ADAM)
    fit(tg.callbacks.EarlyStopping("of_step", mode="min", patience=9), model=model)
    with pytest.raises(KeyError, match="but loss, mean_squared_error_loss, of_step"):
        fit(tg.callbacks.EarlyStopping("of_stop", mode="min"), model=model)
    fit(Faked(1.0, 2.0, 3.0), tg.callbacks.EarlyStopping("score_loss", patience=9))
    add = tg.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(mine=1.0))
    fit(add, tg.callbacks.EarlyStopping("mine", mode="min", patience=9))
    with pytest.raises(KeyError, match="there is no such metric value, but loss"):
        fit(add, tg.callbacks.EarlyStopping("other", mode="min", patience=9))
    eager = make_model(run_eagerly=True)
    fit(tg.callbacks.EarlyStopping("loss", patience=9), model=eager, epochs=1)
    with pytest.raises(ValueError, match="`monitor` is ''; the name of a metric value is expected"):
        tg.callbacks.EarlyStopping("")


# `EarlyStopping` against Keras's


def stops_like_keras(rng: np.random.Generator) -> None:
    from keras.callbacks import EarlyStopping

    n = int(rng.integers(1, 15))
    # Eighths, whose differences are exact in whatever precision Keras compares them.
    values = [float(v) / 8 for v in rng.integers(-6, 7, n)]
    values = [math.inf * int(rng.choice([-1, 1])) if rng.random() < 0.05 else v for v in values]
    arguments: dict[str, Any] = {
        "monitor": "val_score",
        "mode": str(rng.choice(["min", "max"])),
        "patience": int(rng.integers(0, 5)),
        "min_delta": float(rng.choice([0, 0.125, 0.25, -0.5])),
        "start_from_epoch": int(rng.integers(0, 4)),
        "restore_best_weights": True,
    }
    # In some of them there is no validation, but in the first of them always.
    due = [epoch for epoch in range(n) if epoch == 0 or rng.random() < 0.8]

    class Model:
        stop_training = False
        at = 0

        def get_weights(self):
            return self.at

        def set_weights(self, weights: Any):
            self.at = weights

    theirs: Any = EarlyStopping(**arguments)
    theirs._model = model = Model()
    theirs.on_train_begin()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        while not model.stop_training and model.at < n:
            theirs.on_epoch_end(model.at, {"val_score": values[model.at]} if model.at in due else {})
            model.at += 1
    ran = model.at
    theirs.on_train_end()

    class Scoring(tg.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any):
            if epoch in due:
                logs["val_score"] = values[epoch]

    ours = tg.callbacks.EarlyStopping(**arguments)
    validation: Any = {"validation_data": (X, Y), "validation_freq": [epoch + 1 for epoch in due]}
    trained, history = fit(Scoring(), ours, epochs=n, batch_size=20, **validation)
    assert (len(history.epoch), history.stopped is not None) == (ran, model.stop_training), (values, due, arguments)
    if theirs.best_weights is not None:
        assert (ours.best_epoch, ours.best) == (theirs.best_epoch, theirs.best), (values, due, arguments)
        assert int(trained.states.step) == theirs.best_weights + 1, (values, due, arguments)


@pytest.mark.parametrize("n", [25, pytest.param(3000, marks=pytest.mark.slow)])
def test_early_stopping_stops_when_keras_s_does(n):
    pytest.importorskip("keras", reason="Keras isn't installed")
    rng = np.random.default_rng(n)
    for _ in range(n):
        stops_like_keras(rng)


# Averaged parameters


NOISY = (Y + 3 * np.random.default_rng(2).normal(size=Y.shape)).astype("float32")
EMA_SGD = tg.with_ema(optax.sgd(0.3), 0.9)


def fit_with_ema(*use: Any, **arguments: Any) -> tuple[tg.Model[Any], tg.History]:
    arguments = {"batch_size": 5, "epochs": 8, "verbose": 0, "validation_data": (X, Y), **arguments}
    return make_model(EMA_SGD).fit(X, NOISY, callbacks=list(use), **arguments)


def loss_of(model: Any) -> float:
    return model.evaluate(X, Y, verbose=0)["loss"]


@pytest.mark.parametrize("first", [True, False], ids=["EMA first", "EMA last"])
@pytest.mark.parametrize("swap", [True, False])
def test_what_was_measured_and_what_was_trained(tmp_path, first, swap):
    ema = tg.callbacks.EMA(swap_at_end=swap)
    keep = [
        tg.callbacks.EarlyStopping(patience=99, restore_best_weights=True),
        tg.callbacks.ModelCheckpoint(tmp_path / "best", save_best_only=True, keep=2),
        tg.callbacks.ModelCheckpoint(tmp_path / "all"),
    ]
    trained: list[Any] = []
    look = tg.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: trained.append(keep[0].model))
    use = [ema, *keep] if first else [*keep, ema]
    model, history = fit_with_ema(*use, look)
    best = int(np.argmin(history["val_loss"]))
    assert 0 < best < 7 or min(history["val_loss"]) < max(history["val_loss"])
    stopping: Any = keep[0]
    assert loss_of(stopping.best_model) == pytest.approx(min(history["val_loss"]), rel=1e-5)
    assert same(stopping.best_trained.states, trained[best].states)
    assert same(model.module, stopping.best_model.module if swap else stopping.best_trained.module)
    assert same(stopping.best_trained.averaged().module, stopping.best_model.module)
    loaded = make_model(EMA_SGD).load(tmp_path / "best")
    assert loss_of(loaded) == pytest.approx(min(history["val_loss"]), rel=1e-5)
    going_on = make_model(EMA_SGD).load(tmp_path / "best", averaged=False)
    assert same(going_on.states, trained[best].states) and not same(going_on.module, loaded.module)
    for epoch, value in enumerate(history["val_loss"]):
        found = make_model(EMA_SGD).load(tmp_path / "all", step=4 * (epoch + 1))
        assert loss_of(found) == pytest.approx(value, rel=1e-5)
    predicting = make_model(None).load(tmp_path / "best", only="module")
    assert same(predicting.module, loaded.module)
    raw = make_model(None).load(tmp_path / "best", only="module", averaged=False)
    assert same(raw.module, going_on.module)


@pytest.mark.parametrize("monitor", ["loss", "val_loss"])
def test_what_was_measured_is_what_validation_looked_at(tmp_path, monitor):
    """The loss of training is that of what is trained; so is that of a validation that isn't averaged."""
    ema = tg.callbacks.EMA(validate=monitor == "loss")
    use = tg.callbacks.ModelCheckpoint(tmp_path, monitor=monitor, save_best_only=True, keep=9)
    model, _ = fit_with_ema(ema, use, epochs=2)
    found = make_model(EMA_SGD).load(tmp_path, step=8)
    assert same(found.states, model.states)


def test_resuming_goes_on_with_what_was_trained(tmp_path):
    def use() -> list[Any]:
        stopping = tg.callbacks.EarlyStopping(patience=99, restore_best_weights=True)
        return [tg.callbacks.EMA(swap_at_end=True), stopping, tg.callbacks.BackupAndRestore(tmp_path)]

    with pytest.raises(ZeroDivisionError):
        fit_with_ema(*use()[::-1], FailingIn(5))
    found, history = fit_with_ema(*use())
    expected, whole = fit_with_ema(*use()[:2])
    assert same(found.states, expected.states) and history.history == whole.history


def test_a_model_is_averaged(tmp_path):
    model, _ = fit_with_ema(epochs=2)
    averaged = model.averaged()
    assert type(averaged) is type(model)
    assert same(averaged.parameters, model.states.optimizer_states.average)
    assert same(averaged.states.optimizer_states, model.states.optimizer_states)
    with pytest.raises(ValueError, match=r"keeps no average of the parameters: wrap it, `optimizer=tg.with_ema"):
        fit()[0].averaged()


def test_an_average_of_some_of_the_parameters():
    def labels(params: Any) -> Any:
        return jax.tree.map(lambda a: "a" if a.ndim == 2 else "b", params)

    optimizer = optax.multi_transform({"a": tg.with_ema(optax.sgd(0.1), 0.5), "b": optax.sgd(0.1)}, labels)
    model, _ = fit(model=make_model(optimizer), epochs=1)
    averaged = model.averaged()
    assert not np.array_equal(averaged.module.layers[0].weight, model.module.layers[0].weight)
    assert np.array_equal(averaged.module.layers[0].bias, model.module.layers[0].bias)


def test_half_precision_is_averaged_in_float32(tmp_path):
    net = jax.tree.map(lambda a: a.astype(jnp.bfloat16) if eqx.is_inexact_array(a) else a, NET)
    model = tg.Model(net, loss=tg.losses.MeanSquaredError(), optimizer=tg.with_ema(optax.sgd(0.1), 0.9))
    use = [tg.callbacks.EMA(), tg.callbacks.ModelCheckpoint(tmp_path)]
    trained, history = fit(*use, model=model, validation_data=(X, Y))
    loaded = model.load(tmp_path)
    assert loaded.module.layers[0].weight.dtype == jnp.bfloat16
    assert loss_of(loaded) == pytest.approx(history["val_loss"][-1], rel=1e-3)
    assert same(model.load(tmp_path, averaged=False).states, trained.states)


# Odd places


def test_places_that_cannot_be(tmp_path):
    model = make_model()
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "locked" / ".lock").mkdir(parents=True)
    for name in ("x" * 300, "loop", "file", "file/below", "loop/below"):
        with pytest.raises(tg.CheckpointError, match="can't be written into|can't hold a saved model"):
            model.save(tmp_path / name)
        with pytest.raises(tg.CheckpointError, match="can't be read|There is no saved model"):
            model.load(tmp_path / name)
        with pytest.raises(tg.CheckpointError, match="There are no checkpoints in|can't be read"):
            model.load(tmp_path / name, step=3)
        for use in (tg.callbacks.ModelCheckpoint, tg.callbacks.BackupAndRestore):
            with pytest.raises(tg.CheckpointError, match="can't be written into"):
                fit(use(tmp_path / name))
    with pytest.raises(tg.CheckpointError, match="locked' can't be written into"):
        fit(tg.callbacks.ModelCheckpoint(tmp_path / "locked"))


# What may change while it is being written


def test_what_changes_while_it_is_written(tmp_path):
    mutable = np.zeros(100_000)
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, {"a": mutable})
    mutable += 1
    checkpoints.close()
    assert not np.any(Checkpoints.load(checkpoints, 1)["a"])


@pytest.mark.skipif(sys.platform == "win32", reason="processes are made by forking on POSIX only")
def test_nothing_global_is_changed(tmp_path):
    handler, method = threading.excepthook, multiprocessing.get_start_method(allow_none=True)
    fit(tg.callbacks.ModelCheckpoint(tmp_path / "models"), tg.callbacks.BackupAndRestore(tmp_path / "backup"))
    assert threading.excepthook is handler and multiprocessing.get_start_method(allow_none=True) == method
