"""Checkpoints: what is kept, what is read, and what happens when a directory isn't what it should be."""

import logging
import os
import shutil
import tempfile
import threading
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import helpers
import treegy as tg
from helpers import Faked, X, Y, fit, make_model, run_script, same
from treegy._saving._checkpoints import Checkpoints
from treegy._saving._lock import Lock
from treegy._saving._read_checkpoints import read_checkpoint, steps_in

# Optax's Adam promotes dtypes.
pytestmark = [pytest.mark.standard_promotion, pytest.mark.once]


class FailingAt(tg.callbacks.Callback):
    def __init__(self, step: int):
        self.step = step

    def next_step(self, step):
        return self.step if step < self.step else None

    def on_step_end(self, step, logs):
        raise RuntimeError("no")


# `ModelCheckpoint`


def test_placeholders_are_refused():
    with pytest.raises(ValueError, match=r"`path` is 'models/m\{epoch\}': nothing is filled in"):
        tg.callbacks.ModelCheckpoint("models/m{epoch}")


def test_every_epoch(tmp_path):
    model, _ = fit(tg.callbacks.ModelCheckpoint(tmp_path))
    assert steps_in(tmp_path) == [4, 8, 12]
    loaded = make_model().load(tmp_path)
    assert same(loaded.states, model.states)
    assert int(make_model().load(tmp_path, step=8).states.step) == 8
    again, _ = loaded.fit(X, Y, batch_size=5, verbose=0)
    expected, _ = model.fit(X, Y, batch_size=5, verbose=0)
    assert same(again.states, expected.states)


def test_every_so_many_steps_and_the_last_ones(tmp_path):
    fit(tg.callbacks.ModelCheckpoint(tmp_path, save_freq=3, keep=2))
    assert steps_in(tmp_path) == [9, 12]


def test_the_best(tmp_path):
    best = tg.callbacks.ModelCheckpoint(tmp_path / "one", monitor="score_loss", save_best_only=True)
    two = tg.callbacks.ModelCheckpoint(tmp_path / "two", monitor="score_loss", save_best_only=True, keep=2)
    fit(Faked(3.0, 1.0, 2.0, 0.5, 9.0), best, two, epochs=5)
    assert steps_in(tmp_path / "one") == [16]
    assert steps_in(tmp_path / "two") == [8, 16]


def test_another_model(tmp_path):
    fit(tg.callbacks.ModelCheckpoint(tmp_path), epochs=1)
    with pytest.raises(
        tg.CheckpointError, match=r"belongs to another model(?s:.*)net_params.layers\[0\].weight: f32\[6,3\]"
    ):
        make_model(width=6).load(tmp_path)
    with pytest.raises(tg.CheckpointError, match="There is no checkpoint of step 5 in .*; there are 4"):
        make_model().load(tmp_path, step=5)
    make_model().save(tmp_path / "saved")
    with pytest.raises(tg.CheckpointError, match="There are no checkpoints in"):
        make_model().load(tmp_path / "saved", step=5)


def test_a_directory_of_another_training(tmp_path):
    """It is refused before a step is made; then it is replaced as a whole."""
    best: dict[str, Any] = {"monitor": "score_loss", "save_best_only": True}
    for name, arguments, figures in (("all", dict[str, Any](), ()), ("best", best, (Faked(3.0, 2.0, 1.0),))):
        path = tmp_path / name
        fit(*figures, tg.callbacks.ModelCheckpoint(path, **arguments))
        kept = steps_in(path)
        other = make_model().replace(optimizer=optax.sgd(1.0))
        refused = r"holds checkpoints of other runs, of step (4, 8, )?12, and this one begins at step 0\. Choose"
        with pytest.raises(tg.CheckpointError, match=refused) as info:
            fit(*figures, tg.callbacks.ModelCheckpoint(path, **arguments), model=other)
        assert info.value.__notes__[0] == "This happened in epoch 1, before its first step had ended."
        assert steps_in(path) == kept
        # The second one is no better than its first.
        figures = figures and (Faked(9.0, 9.0, 9.0),)
        fresh = tg.callbacks.ModelCheckpoint(path, overwrite=True, **arguments)
        model, _ = fit(*figures, fresh, model=other, batch_size=10)
        assert steps_in(path) == ([2, 4, 6] if name == "all" else [2])
        if name == "all":
            assert same(other.load(path).states, model.states)


def test_models_after_a_backup_are_replaced(tmp_path):
    """What was written after the backup from which a run resumes is of a course that it may not take again."""

    def use() -> Any:
        backup = tg.callbacks.BackupAndRestore(tmp_path / "backup", save_freq=3)
        return tg.callbacks.ModelCheckpoint(tmp_path / "models", save_freq=2), backup

    with pytest.raises(RuntimeError, match="no"):
        fit(FailingAt(11), *use(), steps_per_execution=1)
    assert steps_in(tmp_path / "models") == [2, 4, 6, 8, 10]
    shutil.rmtree(tmp_path / "backup" / "9")
    with pytest.raises(RuntimeError, match="no"):
        fit(FailingAt(9), *use(), steps_per_execution=1)
    assert steps_in(tmp_path / "models") == [2, 4, 6, 8]
    model, _ = fit(*use(), steps_per_execution=1)
    assert steps_in(tmp_path / "models") == [2, 4, 6, 8, 10, 12]
    assert same(make_model().load(tmp_path / "models").states, model.states)


def test_none_can_not_be_kept(tmp_path):
    with pytest.raises(ValueError, match="`keep` is 0; at least 1 is expected"):
        tg.callbacks.ModelCheckpoint(tmp_path, keep=0)


# `BackupAndRestore`


def test_a_backup_is_removed_in_the_end(tmp_path):
    fit(tg.callbacks.BackupAndRestore(tmp_path / "removed"))
    assert steps_in(tmp_path / "removed") == []
    first = make_model()
    fit(tg.callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False), model=first)
    assert steps_in(tmp_path) == [8, 12]
    model, history = fit(tg.callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False), model=first)
    expected, before = fit()
    assert history.history == before.history  # it was over, so nothing more is done
    assert same(model.states, expected.states)


def interrupted(directory: Path) -> None:
    with pytest.raises(RuntimeError, match="no"):
        fit(FailingAt(11), tg.callbacks.BackupAndRestore(directory, save_freq=2), steps_per_execution=1)


def test_a_damaged_backup_falls_back_to_the_one_before(tmp_path):
    interrupted(tmp_path)
    assert steps_in(tmp_path) == [8, 10]
    for file in (tmp_path / "10").rglob("*"):
        if file.is_file():
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.warns(UserWarning, match="The checkpoint '.*10' is damaged.*Resuming from the backup before it"):
        model, history = fit(tg.callbacks.BackupAndRestore(tmp_path, save_freq=2), steps_per_execution=1)
    expected, before = fit(steps_per_execution=1)
    assert history.history == before.history
    assert same(model.states, expected.states)


def test_damaged_backups_are_replaced(tmp_path):
    """When both are, training begins from scratch, and makes backups from the first moment."""
    interrupted(tmp_path)
    for file in tmp_path.rglob("*"):
        if file.is_file() and file.name != ".lock":
            file.write_bytes(b"")
    with (
        pytest.warns(UserWarning, match="10' is damaged.*Resuming from the backup before it"),
        pytest.warns(UserWarning, match="8' is damaged.*There is none before it: training begins from scratch"),
        pytest.raises(RuntimeError, match="no"),
    ):
        fit(FailingAt(5), tg.callbacks.BackupAndRestore(tmp_path, save_freq=2), steps_per_execution=1)
    assert steps_in(tmp_path) == [2, 4]
    model, history = fit(tg.callbacks.BackupAndRestore(tmp_path, save_freq=2), steps_per_execution=1)
    expected, before = fit(steps_per_execution=1)
    assert history.history == before.history
    assert same(model.states, expected.states)


# Documents


class Remembering(tg.callbacks.Callback):
    def __init__(self, value: Any):
        self.value = value

    def state(self):
        return {"value": self.value}

    def restore(self, state):
        self.value = state["value"]


def test_the_state_of_a_callback_comes_back_as_it_was(tmp_path):
    value: dict[Any, Any] = {
        "double": np.array([1 / 3]),
        "long": np.array(2**40),
        "half": np.ones(2, jnp.bfloat16),
        "flags": np.zeros((0, 3), bool),
        "number": np.float64(1 / 3),
        "complex": np.complex64(1 + 2j),
        "array": jnp.arange(3),
        "key": jax.random.key(1),
        "large": 2**70,
        "list": [1, "a", None, float("inf"), (True, 2.5)],
        1: "a number as a key",
        ("a", 2): {"@array": 0},
    }
    fitted = Remembering(value)
    with pytest.raises(RuntimeError, match="no"):
        fit(FailingAt(3), fitted, tg.callbacks.BackupAndRestore(tmp_path, save_freq=2))
    found = Remembering(None)
    fit(found, tg.callbacks.BackupAndRestore(tmp_path, save_freq=2))
    assert list(found.value) == list(value)
    for name, expected in value.items():
        assert type(found.value[name]) is type(expected)
        if hasattr(expected, "dtype"):
            assert found.value[name].dtype == expected.dtype and found.value[name].shape == expected.shape
            assert bool((found.value[name] == expected).all())
        else:
            assert found.value[name] == expected


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({1, 2}, r"value'\]` is an instance of set"),
        ([optax.EmptyState()], r"\['value'\]\[0\]` is an instance of Empty"),
    ],
)
def test_what_would_not_come_back_is_refused(tmp_path, value, where):
    with pytest.raises(tg.CheckpointError, match=rf"callbacks'\].*{where}.*can't be written into a checkpoint"):
        fit(Remembering(value), tg.callbacks.BackupAndRestore(tmp_path, save_freq=1))


def test_doubles_need_x64(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    with jax.enable_x64(True):
        checkpoints.save(1, {"a": jnp.arange(2.0)})
        checkpoints.close()
        assert read_checkpoint(tmp_path, 1)["a"].dtype == np.float64
    with pytest.raises(tg.CheckpointError, match="can't be read: it holds arrays of float64, which JAX only has when"):
        read_checkpoint(tmp_path, 1)


def test_every_damage_is_seen(tmp_path):
    """Whatever byte is changed: it is an error, or makes no difference."""
    checkpoints = Checkpoints(tmp_path)
    document: dict[str, Any] = {"a": np.arange(100, dtype=np.float32), "b": {"c": [1, 2.5, None, float("inf"), "text"]}}
    checkpoints.save(1, document)
    checkpoints.close()
    files = [f for f in (tmp_path / "1").rglob("*") if f.is_file()]
    rng = np.random.default_rng(0)
    for file in files:
        whole = file.read_bytes()
        for _ in range(3 if whole else 0):
            broken = bytearray(whole)
            broken[rng.integers(len(whole))] ^= 1 << rng.integers(8)
            file.write_bytes(broken)
            try:
                found = read_checkpoint(tmp_path, 1)
                assert np.array_equal(found["a"], document["a"]) and found["b"] == document["b"], file
            except tg.CheckpointError:
                pass
        file.write_bytes(whole)
    assert read_checkpoint(tmp_path, 1)["b"] == document["b"]


class InterruptingAt(tg.callbacks.Callback):
    def __init__(self, step: int):
        self.step = step

    def heartbeat(self, step):
        if step == self.step:
            self.stop("for today", interrupt=True)


@pytest.mark.parametrize("save_freq", ["epoch", 2])
def test_a_training_that_is_interrupted_goes_on(tmp_path, save_freq):
    """In an epoch, at its end, and once more; the last step is an end, whoever interrupts."""
    arguments: dict[str, Any] = {"validation_data": (X, Y), "epochs": 4, "steps_per_execution": 1}
    for step, epochs in ((6, [0, 1]), (8, [0, 1]), (11, [0, 1, 2])):
        stopping = tg.callbacks.EarlyStopping(patience=9, restore_best_weights=True)
        use = (InterruptingAt(step), stopping, tg.callbacks.BackupAndRestore(tmp_path, save_freq=save_freq))
        _, history = fit(*use, **arguments)
        assert (history.stopped, history.epoch) == ("for today", epochs)
        assert steps_in(tmp_path)[-1] == step
    stopping = tg.callbacks.EarlyStopping(patience=9, restore_best_weights=True)
    model, history = fit(InterruptingAt(16), stopping, tg.callbacks.BackupAndRestore(tmp_path), **arguments)
    expected, whole = fit(tg.callbacks.EarlyStopping(patience=9, restore_best_weights=True), **arguments)
    assert history.stopped is None and steps_in(tmp_path) == []
    assert history.history == whole.history and history.epoch == whole.epoch
    assert same(model.states, expected.states)


def test_a_timer_has_its_time_anew(tmp_path):
    """Jobs of a limited time: each goes on where the one before it was stopped."""
    steps = []
    for _ in range(2):
        timer = tg.callbacks.Timer(0.2)
        model, history = fit(timer, tg.callbacks.BackupAndRestore(tmp_path), epochs=1_000_000)
        steps.append(int(model.states.step))
        assert history.stopped == "the time of 0.2 s was over" and timer.time_elapsed >= 0.2
        assert steps_in(tmp_path)[-1] == steps[-1]
    assert steps[1] > steps[0] > 0


def test_a_training_that_has_ended_is_not_interrupted(tmp_path):
    ending = tg.callbacks.EarlyStopping("score_loss", patience=1)
    _, history = fit(InterruptingAt(8), Faked(1.0, 2.0, 3.0), ending, tg.callbacks.BackupAndRestore(tmp_path))
    assert history.stopped is not None and history.stopped.startswith("score_loss was not better")
    assert steps_in(tmp_path) == []


def test_figures_that_are_no_scalars_come_back(tmp_path):
    def errors(y_true: Any, y_pred: Any) -> Any:
        return tg.Mean(jnp.sum(jnp.abs(y_true - y_pred), axis=0), y_true.shape[0])

    model = make_model().replace(metrics=errors)
    arguments: dict[str, Any] = {"steps_per_execution": 1, "validation_data": (X, Y)}
    backup = tg.callbacks.BackupAndRestore(tmp_path, save_freq=2)
    with pytest.raises(RuntimeError, match="no"):
        fit(FailingAt(11), backup, model=model, **arguments)
    _, found = fit(tg.callbacks.BackupAndRestore(tmp_path, save_freq=2), model=model, **arguments)
    _, expected = fit(model=model, **arguments)
    for name in ("errors", "val_errors"):
        assert [type(v) for v in found[name]] == [np.ndarray] * 3
        assert np.array_equal(found[name], expected[name])
    assert found["loss"] == expected["loss"]


def test_a_checkpoint_that_was_deleted(tmp_path):
    interrupted(tmp_path)
    shutil.rmtree(tmp_path / "10")
    model, _ = fit(tg.callbacks.BackupAndRestore(tmp_path, save_freq=2), steps_per_execution=1)
    expected, _ = fit(steps_per_execution=1)
    assert same(model.states, expected.states)


def test_a_backup_of_another_training(tmp_path):
    interrupted(tmp_path)
    with pytest.raises(tg.CheckpointError, match=r"The backup belongs to another model"):
        fit(tg.callbacks.BackupAndRestore(tmp_path), model=make_model(width=6))
    other = "on 20 examples in batches of 5, and now there are 20 examples in batches of 10"
    with pytest.raises(tg.CheckpointError, match=other):
        fit(tg.callbacks.BackupAndRestore(tmp_path), batch_size=10)


def test_a_backup_of_a_newer_treegy(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, {"format": "treegy run", "version": 99})
    checkpoints.close()
    newer = (
        r"'.*' holds a 'treegy run' of version 99, and this treegy reads version \d+\. It was written by a newer treegy"
    )
    with pytest.raises(tg.CheckpointError, match=newer):
        fit(tg.callbacks.BackupAndRestore(tmp_path))


def test_a_model_of_another_treegy(tmp_path):
    for version, by in ((99, "a newer treegy: install that"), (0, "an older treegy")):
        checkpoints = Checkpoints(tmp_path / str(version))
        checkpoints.save(1, {"format": "treegy model", "version": version, "states": {}})
        checkpoints.close()
        with pytest.raises(tg.CheckpointError, match=rf"'treegy model' of version {version}, .* written by {by}"):
            make_model().load(tmp_path / str(version))
    checkpoints = Checkpoints(tmp_path / "other")
    checkpoints.save(1, {"text": "something else"})
    checkpoints.close()
    with pytest.raises(tg.CheckpointError, match="holds checkpoints that treegy has not written"):
        make_model().load(tmp_path / "other")


def test_one_directory_for_two(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    try:
        with pytest.raises(tg.CheckpointError, match=rf"in use by another run \(process {os.getpid()}\)"):
            fit(tg.callbacks.BackupAndRestore(tmp_path))
    finally:
        checkpoints.close()
    fit(tg.callbacks.BackupAndRestore(tmp_path))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are made by forking on POSIX only")
@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning", "ignore:This process:DeprecationWarning")
def test_the_workers_of_a_loader_hold_no_directory(tmp_path):
    """They live on for a while after a run was killed, which then begins again."""
    lock = Lock(tmp_path / ".lock")
    (read, write), (runs, tell) = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(write)
        os.write(tell, b"x")
        os.read(read, 1)
        os._exit(0)
    try:
        os.read(runs, 1)
        with pytest.raises(tg.CheckpointError, match="in use by another run"):
            Lock(tmp_path / ".lock")
        lock.release()
        Lock(tmp_path / ".lock").release()
    finally:
        for file in (read, write, runs, tell):
            os.close(file)
        os.waitpid(pid, 0)


def test_a_directory_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    for use in (tg.callbacks.BackupAndRestore(tmp_path / "file"), tg.callbacks.ModelCheckpoint(tmp_path / "file")):
        with pytest.raises(tg.CheckpointError, match="file' can't be written into"):
            fit(use)


READ_ONLY = """
import os, sys
import helpers as t, treegy as tg
# Everything is imported now: another user may not be able to read where Python is installed.
t.fit(tg.callbacks.BackupAndRestore(sys.argv[2] + "/a"), tg.callbacks.ModelCheckpoint(sys.argv[2] + "/b"))
if os.geteuid() == 0:
    os.seteuid(65534)
for use in (tg.callbacks.BackupAndRestore, tg.callbacks.ModelCheckpoint):
    for name in ("there", "there/new"):
        try:
            t.fit(use(os.path.join(sys.argv[1], name)))
        except tg.CheckpointError as error:
            print("ERROR", error)
"""


@pytest.mark.skipif(os.name != "posix", reason="users and what they may do are others elsewhere")
def test_a_directory_that_is_read_only(tmp_path):
    """In a process of its own, which isn't root's: nothing is read-only to root."""
    # Not `tmp_path`, into which other users can't even look.
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        Path(directory, "there").mkdir(mode=0o555)
        done = run_script(READ_ONLY, directory, str(tmp_path))
    lines = [line for line in done.stdout.splitlines() if line.startswith("ERROR")]
    assert len(lines) == 4, done.stdout + done.stderr
    assert all("can't be written into: " in line and "Permission denied" in line for line in lines), lines


FULL = """
import resource, signal, sys
import helpers as t, treegy as tg
from treegy._saving._read_checkpoints import read_checkpoint, steps_in
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
directory, use, epoch_of_it = sys.argv[1], getattr(tg.callbacks, sys.argv[2]), int(sys.argv[3])
def fill(epoch, logs):
    if epoch == epoch_of_it:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
try:
    arguments = {"delete_checkpoint": False} if sys.argv[2] == "BackupAndRestore" else {}
    _, history = t.fit(tg.callbacks.LambdaCallback(on_epoch_begin=fill), use(directory, **arguments), epochs=4)
    print("TRAINED", len(history.epoch), history.stopped)
except tg.CheckpointError as error:
    print("ERROR", error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print("STEPS", [s for s in steps_in(directory) if read_checkpoint(directory, s)])
"""


@pytest.mark.parametrize("use", ["BackupAndRestore", "ModelCheckpoint"])
@pytest.mark.parametrize("epoch", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_a_full_disk(tmp_path, use, epoch):
    """The error says so, and the last whole checkpoint is still there. When training is over, its model is returned."""
    done = run_script(FULL, str(tmp_path / "backup"), use, str(epoch))
    told = done.stdout + done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith(("ERROR", "TRAINED", "STEPS"))]
    assert len(lines) == 2, told
    if epoch == 1:
        assert lines[0].startswith("ERROR") and "can't be written into" in lines[0], told
        assert lines[1] in ("STEPS []", "STEPS [4]")  # the first may be not written yet when the disk is full
    else:
        assert lines[0] == "TRAINED 4 None", told
        assert "can't be written into" in done.stderr and "The last checkpoint is missing." in done.stderr, told
        # The warning is of the line that calls `fit`, whatever asyncio prints before it.
        assert any(line.startswith(f"{helpers.__file__}:") for line in done.stderr.splitlines()), told
        assert eval(lines[1].removeprefix("STEPS "))[-1] in (8, 12)
    # Orbax has nothing to add.
    assert "orbax" not in done.stderr.replace("orbax-checkpoint-tmp", ""), told


def test_no_logger_of_others_is_touched(tmp_path):
    """What other packages log is theirs, whatever a checkpoint does."""
    loggers = [logging.getLogger(name) for name in (None, "absl", "asyncio", "jax", "etils")]
    before = [(list(each.filters), list(each.handlers), each.level, each.disabled) for each in loggers]
    fit(tg.callbacks.ModelCheckpoint(tmp_path / "models"), tg.callbacks.BackupAndRestore(tmp_path / "backup"))
    make_model().load(tmp_path / "models")
    assert before == [(list(each.filters), list(each.handlers), each.level, each.disabled) for each in loggers]


SHARDED = """
import sys
import equinox as eqx, jax, helpers as t, treegy as tg
from jax.sharding import Mesh, NamedSharding, PartitionSpec

mesh = Mesh(jax.devices(), ("rows",))
directory = sys.argv[1]

def placed(array):
    rows = "rows" if eqx.is_array(array) and len(array) == 8 else None
    return jax.device_put(array, NamedSharding(mesh, PartitionSpec(rows))) if eqx.is_array(array) else array

def sharded():
    model = t.make_model(width=8)
    return model.replace(module=jax.tree.map(placed, model.module))

def shardings(model):
    return [a.sharding for a in jax.tree.leaves(model.module) if eqx.is_array(a)]

assert len(shardings(sharded())[0].device_set) == 8
saving = tg.callbacks.ModelCheckpoint(directory + "/checkpoints")
backup = tg.callbacks.BackupAndRestore(directory + "/backup", delete_checkpoint=False)
first = sharded()
expected, _ = t.fit(saving, backup, model=first)
expected.save(directory + "/saved")
for path in ("/checkpoints", "/saved"):
    for make in (sharded, lambda: t.make_model(width=8)):
        loaded = make().load(directory + path)
        assert t.same(loaded.states, expected.states) and shardings(loaded) == shardings(make())
        t.fit(model=loaded, epochs=1)
restored, _ = t.fit(saving, backup, model=first)
assert t.same(restored.states, expected.states) and shardings(restored) == shardings(sharded())
print("DONE")
"""


def test_arrays_on_several_devices(tmp_path):
    """They are loaded to where those of the receiving model are, of which training goes on."""
    done = run_script(SHARDED, str(tmp_path), devices=8)
    assert "DONE" in done.stdout, done.stdout + done.stderr


def test_nothing_is_left(tmp_path):
    """No thread, no open file, no temporary file."""

    def files() -> set[str]:
        return {os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if _is_open(fd)}

    fit(tg.callbacks.BackupAndRestore(tmp_path / "first"))  # what libraries keep once they have been used
    before, threads = files(), set(threading.enumerate())
    use = [
        tg.callbacks.BackupAndRestore(tmp_path / "backup", save_freq=2),
        tg.callbacks.ModelCheckpoint(tmp_path / "models"),
        tg.callbacks.CSVLogger(tmp_path / "log.csv"),
    ]
    with pytest.raises(RuntimeError):
        fit(*use, FailingAt(7))
    fit(*use)
    assert {f for f in files() - before if str(tmp_path) in f} == set()
    assert [t.name for t in set(threading.enumerate()) - threads] == []
    assert not [f for f in tmp_path.rglob("*") if "tmp" in f.name or "part" in f.name]


def _is_open(fd: str) -> bool:
    return os.path.lexists(f"/proc/self/fd/{fd}")
