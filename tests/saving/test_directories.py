"""What saving does to a directory: what others have put there stays, and several may save into one."""

import contextlib
import errno
import multiprocessing
import os
import subprocess
import sys
import threading
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import treegy as tg
from helpers import X, Y, fit, make_model, same
from treegy._saving._checkpoints import Checkpoints
from treegy._saving._manifest import save_tree
from treegy._saving._read_checkpoints import steps_in
from treegy._saving._saved import load_tree

# Optax's Adam promotes dtypes.
pytestmark = [pytest.mark.standard_promotion, pytest.mark.once]


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
