"""Where files go: paths as users write them."""

import os
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
import optax
import pytest

import treegy as tg
from helpers import numbers
from treegy._paths import anywhere, local
from treegy._saving._read_checkpoints import steps_in

pytestmark = pytest.mark.once

X = numbers(8, 3)
SGD = optax.sgd(1e-2)


def make_model() -> tg.Model[Any]:
    return tg.Model(eqx.nn.Linear(3, 3, key=jax.random.key(0)), loss=tg.losses.MeanSquaredError(), optimizer=SGD)


def fit(*use: Any, **arguments: Any) -> tuple[tg.Model[Any], tg.History]:
    return make_model().fit(X, X, batch_size=4, verbose=0, callbacks=list(use), **arguments)


def tensorboard(path: Any) -> Any:
    pytest.importorskip("tensorboardX", reason="tensorboardX isn't installed")
    return tg.callbacks.TensorBoard(path)


CALLBACKS = {
    "ModelCheckpoint(path)": tg.callbacks.ModelCheckpoint,
    "BackupAndRestore(directory)": lambda path: tg.callbacks.BackupAndRestore(path, delete_checkpoint=False),
    "CSVLogger(filename)": tg.callbacks.CSVLogger,
    "TensorBoard(log_dir)": tensorboard,
    "Profiler(log_dir)": lambda path: tg.callbacks.Profiler(path, start=1, steps=1),
}
each_callback = pytest.mark.parametrize("make", CALLBACKS.values(), ids=CALLBACKS)


@pytest.mark.parametrize("write", ["~/models/a", "file://{home}/models/a", "file://localhost{home}/models/a"])
def test_home_and_urls_of_files(tmp_path, monkeypatch, write):
    monkeypatch.setenv("HOME", str(tmp_path))
    path = write.format(home=tmp_path)
    assert local("path", path) == anywhere("path", path) == tmp_path / "models" / "a"
    model = make_model()
    model.save(path)
    assert (tmp_path / "models" / "a" / "manifest.json").exists()
    model.load(path)


@each_callback
def test_callbacks_know_home_and_stay_where_they_are(make, tmp_path, monkeypatch):
    (tmp_path / "home").mkdir()
    (tmp_path / "later").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    use = [make("~/a"), make(Path("here")), make(f"file://{tmp_path}/url%20of")]
    os.chdir(tmp_path / "later")
    for one in use:
        fit(one)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["here", "home", "later", "url of"]
    assert [p.name for p in (tmp_path / "home").iterdir()] == ["a"] and not list((tmp_path / "later").iterdir())


@each_callback
def test_no_path_is_refused(make, request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = request.node.callspec.id.partition("(")[2].rstrip(")")
    with pytest.raises(ValueError, match=rf"`{name}` is empty; a path is expected\. For the current directory, write"):
        make("")
    with pytest.raises((TypeError, ValueError)):
        make(None)
    assert not list(tmp_path.iterdir())


def test_no_path_is_refused_by_a_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for call in (make_model().save, make_model().load):
        with pytest.raises(ValueError, match="`path` is empty; a path is expected"):
            call("")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("path", "error", "match"),
    [
        (None, TypeError, "`path` is None; a path is expected, such as 'models/first'"),
        (3, TypeError, "`path` is 3; a path is expected"),
        (b"models", TypeError, "`path` is b'models'; a path of text is expected, and this one is bytes"),
        ("a\0b", ValueError, "and no path holds a null character"),
        (
            "file://server/models",
            ValueError,
            "names the machine 'server': write three slashes, 'file:///server/models'",
        ),
        ("ftp://server/models", ValueError, "files of this kind are written to local disks alone"),
    ],
)
def test_what_is_no_path(path, error, match):
    with pytest.raises(error, match=match):
        local("path", path)


def test_stores():
    pytest.importorskip("etils.epath", reason="etils isn't installed")
    assert str(anywhere("path", "gs://bucket/models")) == "gs://bucket/models"
    with pytest.raises(
        ValueError, match=r"knows no store of 'ftp://'\. Give a local path, or one that begins with gs://"
    ):
        tg.callbacks.ModelCheckpoint("ftp://server/models")
    for make in (tg.callbacks.CSVLogger, tensorboard):
        with pytest.raises(ValueError, match="is .s3://bucket/log.: files of this kind are written to local disks"):
            make("s3://bucket/log")
    with pytest.raises(ValueError, match="`path` is .gs://bucket/model.: files of this kind are"):
        make_model().save("gs://bucket/model")


def test_a_store_without_etils(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "etils", None)
    with pytest.raises(ImportError, match=r'pip install "etils\[epath\]" fsspec, and the package of fsspec for this'):
        tg.callbacks.ModelCheckpoint("gs://bucket/models")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> str:
    """A store that is kept in memory, in place of Google's."""
    backend = pytest.importorskip("etils.epath.backend", reason="etils isn't installed")
    fsspec = pytest.importorskip("fsspec", reason="fsspec isn't installed")
    memory = fsspec.filesystem("memory", skip_instance_cache=True)
    monkeypatch.setattr(type(memory), "store", {})
    monkeypatch.setattr(type(memory), "pseudo_dirs", [""])
    monkeypatch.setattr(backend._FileSystemSpecBackend, "fs", lambda self, path: memory)
    return "gs://bucket/models"


def test_checkpoints_in_a_store(bucket):
    model, _ = fit(tg.callbacks.ModelCheckpoint(bucket, keep=2), epochs=3)
    assert steps_in(bucket) == [4, 6]
    found = make_model().load(bucket)
    assert np.array_equal(found.module.weight, model.module.weight)
    assert int(make_model().load(bucket, step=4).states.step) == 4
    with pytest.raises(tg.CheckpointError, match="There are no checkpoints in .gs://bucket/other., and `save`"):
        make_model().load("gs://bucket/other")
    place = anywhere("path", bucket) / "6" / "treegy.bin"
    content = bytearray(place.read_bytes())
    content[5] ^= 4
    place.write_bytes(bytes(content))
    with pytest.warns(UserWarning, match="The one of step 4 is loaded instead"):
        assert int(make_model().load(bucket).states.step) == 4


def test_a_store_that_fails(bucket, monkeypatch):
    class HttpError(Exception):
        pass

    def fail(*_: Any, **__: Any) -> Any:
        raise HttpError("403: forbidden")

    monkeypatch.setattr(type(anywhere("path", bucket)), "is_dir", fail)
    with pytest.raises(tg.CheckpointError, match="'gs://bucket/models' can't be read: 403: forbidden"):
        make_model().load(bucket)
    with pytest.raises(tg.CheckpointError, match="'gs://bucket/models' can't be (read|written into): 403: forbidden"):
        fit(tg.callbacks.ModelCheckpoint(bucket))


def test_backups_in_a_store(bucket):
    def fail(epoch: int, logs: Any) -> None:
        if epoch == 2:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fit(tg.callbacks.LambdaCallback(on_epoch_begin=fail), tg.callbacks.BackupAndRestore(bucket), epochs=4)
    assert steps_in(bucket) == [2, 4]
    model, history = fit(tg.callbacks.BackupAndRestore(bucket), epochs=4)
    assert steps_in(bucket) == [] and history.history == fit(epochs=4)[1].history
    assert int(model.states.step) == 8
