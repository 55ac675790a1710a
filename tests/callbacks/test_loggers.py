"""Loggers that write with other people's libraries, read back by these libraries' own readers."""

import errno
import gc
import importlib
import json
import os
import socket
import sys
import threading
import time
import types
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
import optax
import pytest

import helpers
import treegy as tg
from helpers import X, Y, make_model

SGD = optax.sgd(0.1)


def fit(*use: Any, **arguments: Any) -> tuple[tg.Model[Any], tg.History]:
    return helpers.fit(*use, model=make_model(SGD), **arguments)


def failing() -> tg.callbacks.Callback:
    def fail(epoch: int, logs: Any) -> None:
        raise RuntimeError("no")

    return tg.callbacks.LambdaCallback(on_epoch_end=fail)


def test_what_is_no_image(tmp_path):
    pytest.importorskip("tensorboardX", reason="tensorboardX isn't installed")
    use = tg.callbacks.TensorBoard(tmp_path)
    drawing = tg.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: use.image("sample", np.zeros((2, 2, 7))))
    with pytest.warns(UserWarning, match=r"an image of shape \(2, 2, 7\); \(height, width\) or \(height,"):
        fit(use, drawing)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard(tmp_path):
    pytest.importorskip("tensorboardX", reason="tensorboardX isn't installed")
    reader = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="tensorboard isn't installed"
    )
    use = tg.callbacks.TensorBoard(tmp_path, update_freq=2)
    _, history = fit(use, validation_data=(X, Y), validation_freq=2)

    def read(part: str, tag: str) -> list[tuple[int, float]]:
        events = reader.EventAccumulator(str(tmp_path / part))
        events.Reload()
        return [(e.step, e.value) for e in events.Scalars(tag)]

    assert read("train", "epoch_loss") == [(i, np.float32(v)) for i, v in enumerate(history["loss"])]
    assert read("validation", "epoch_loss") == [(1, np.float32(history["val_loss"][1]))]
    assert [step for step, _ in read("train", "batch_loss")] == [2, 4, 6, 8, 10, 12]
    assert read("train", "batch_loss")[1][1] == np.float32(history["loss"][0])


@pytest.mark.filterwarnings("ignore")
def test_wandb(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb", reason="wandb isn't installed")
    monkeypatch.setenv("WANDB_SILENT", "true")
    use = tg.callbacks.WandB(update_freq=4, project="test", mode="offline", dir=str(tmp_path))
    _, history = fit(use, validation_data=(X, Y))
    assert wandb.run is None
    (file,) = tmp_path.rglob("*.wandb")
    # To a process in which a run was finished before, wandb says that this one is when it isn't yet.
    end, rows = time.monotonic() + 20, list[dict[str, Any]]()
    while sum("val_loss" in row for row in rows) < len(history.epoch) and time.monotonic() < end:
        rows = wandb_rows(file)
    assert [row["loss"] for row in rows if "loss" in row] == history["loss"]
    assert [(row["epoch"], row["val_loss"]) for row in rows if "val_loss" in row] == list(
        enumerate(history["val_loss"])
    )
    assert [(row["step"], row["batch_loss"]) for row in rows if "batch_loss" in row] == [
        (4 * i + 4, v) for i, v in enumerate(history["loss"])
    ]


def wandb_rows(file: Path) -> list[dict[str, Any]]:
    """What was logged to an offline run: records of LevelDB's log format (docs/log_format.md), in wandb's messages."""
    record = importlib.import_module("wandb.proto.wandb_internal_pb2").Record()
    data, at, part, rows = file.read_bytes(), 7, b"", list[dict[str, Any]]()
    while at + 7 <= len(data):
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        if kind == 0 or 32768 - at % 32768 < 7:  # the rest of a block, which has no room for a header
            at = (at // 32768 + 1) * 32768
            continue
        if at + 7 + length > len(data):  # still being written
            break
        part += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            record.ParseFromString(part)
            part = b""
            if record.WhichOneof("record_type") == "history":
                items = record.history.item
                rows.append({item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items})
    return rows


@pytest.mark.filterwarnings("ignore")
def test_mlflow(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="mlflow isn't installed")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri(tmp_path.as_uri())
    experiment = mlflow.set_experiment("test").experiment_id
    use = tg.callbacks.MLflow(params={"lr": 0.1}, run_name="first", update_freq=4)
    _, history = fit(use, validation_data=(X, Y))
    client = mlflow.tracking.MlflowClient(tmp_path.as_uri())
    (run,) = client.search_runs([experiment])
    made_with = {"lr": "0.1", "epochs": "3", "batch_size": "5", "steps_per_epoch": "4", "parameters": "32"}
    assert (run.info.status, run.info.run_name) == ("FINISHED", "first")
    assert run.data.params == {**made_with, "loss": "mean_squared_error_loss"}
    for name in ("loss", "val_loss"):
        found = sorted(client.get_metric_history(run.info.run_id, name), key=lambda m: m.step)
        assert [(m.step, m.value) for m in found] == list(enumerate(history[name]))
    assert [m.step for m in client.get_metric_history(run.info.run_id, "batch_loss")] == [4, 8, 12]
    with pytest.raises(RuntimeError, match="no"):
        fit(tg.callbacks.MLflow(run_name="second"), failing())
    assert mlflow.active_run() is None
    assert {r.info.run_name: r.info.status for r in client.search_runs([experiment])}["second"] == "FAILED"


# Going on after an interruption

N_STEPS = 16  # of four epochs


def interrupted_and_resumed(logger: Any, path: Path) -> tuple[Any, Any]:
    """A run of four epochs that fails in its third one, after a backup of its sixth step; and the rest of it."""

    def fail(step: int, logs: Any) -> None:
        if step == 11:
            raise RuntimeError("killed")

    def run(*use: Any) -> tuple[tg.Model[Any], tg.History]:
        net = eqx.nn.MLP(3, 2, 5, 1, key=jax.random.key(0))
        model = tg.Model(net, loss=tg.losses.MeanSquaredError(), optimizer=SGD)
        backup = tg.callbacks.BackupAndRestore(path, save_freq=6)
        arguments: dict[str, Any] = {"batch_size": 5, "epochs": 4, "verbose": 0, "steps_per_execution": 4}
        return model.fit(X, Y, validation_data=(X, Y), callbacks=[logger(), *use, backup], **arguments)

    with pytest.raises(RuntimeError, match="killed"):
        run(tg.callbacks.LambdaCallback(on_step_end=fail))
    return run()


@pytest.mark.filterwarnings("ignore")
def test_tensorboard_goes_on(tmp_path):
    pytest.importorskip("tensorboardX", reason="tensorboardX isn't installed")
    reader = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="tensorboard isn't installed"
    )
    logs = tmp_path / "logs"
    # Another training in the same directory is nothing that was written already.
    fit(tg.callbacks.TensorBoard(logs, update_freq=1))
    other = {path for path in logs.rglob("*tfevents*")}
    _, history = interrupted_and_resumed(lambda: tg.callbacks.TensorBoard(logs, update_freq=1), tmp_path / "backup")
    for path in other:
        path.unlink()

    def read(part: str, tag: str) -> list[tuple[int, float]]:
        events = reader.EventAccumulator(str(logs / part))
        events.Reload()
        return [(e.step, e.value) for e in events.Scalars(tag)]

    assert read("train", "epoch_loss") == [(i, np.float32(v)) for i, v in enumerate(history["loss"])]
    assert read("validation", "epoch_loss") == [(i, np.float32(v)) for i, v in enumerate(history["val_loss"])]
    assert [step for step, _ in read("train", "batch_loss")] == list(range(1, N_STEPS + 1))


@pytest.mark.filterwarnings("ignore")
def test_mlflow_goes_on(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="mlflow isn't installed")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri((tmp_path / "runs").as_uri())
    experiment = mlflow.set_experiment("test").experiment_id
    logger = lambda: tg.callbacks.MLflow(params={"lr": 0.1}, run_name="night", update_freq=1)  # noqa: E731
    _, history = interrupted_and_resumed(logger, tmp_path / "backup")
    client = mlflow.tracking.MlflowClient((tmp_path / "runs").as_uri())
    (run,) = client.search_runs([experiment])
    assert (run.info.status, run.data.params["lr"], run.info.run_name) == ("FINISHED", "0.1", "night")
    for name in ("loss", "val_loss"):
        found = sorted(client.get_metric_history(run.info.run_id, name), key=lambda m: m.step)
        assert [(m.step, m.value) for m in found] == list(enumerate(history[name]))
    steps = sorted(m.step for m in client.get_metric_history(run.info.run_id, "batch_loss"))
    assert steps == list(range(1, N_STEPS + 1))


@pytest.mark.filterwarnings("ignore")
def test_wandb_goes_on(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb", reason="wandb isn't installed")
    monkeypatch.setenv("WANDB_SILENT", "true")
    logger = lambda: tg.callbacks.WandB(project="test", mode="offline", dir=str(tmp_path))  # noqa: E731
    _, history = interrupted_and_resumed(logger, tmp_path / "backup")
    assert wandb.run is None
    first, second = tmp_path.rglob("*.wandb")
    assert first.name == second.name  # `run-<id>.wandb`: the same run
    end, expected, found = time.monotonic() + 20, dict(enumerate(history["loss"])), dict[int, float]()
    # To the same process, wandb says that a run is finished when it was so before.
    while found != expected and time.monotonic() < end:
        found = {row["epoch"]: row["loss"] for path in (first, second) for row in wandb_rows(path) if "loss" in row}
    assert found == expected


# Full disks, and servers that are gone


def no_space(*_: Any, **__: Any) -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Failing:
    """A run of W&B, or a client of MLflow, that fails from the second epoch on."""

    run = None
    id = info = "1"
    config: dict[str, Any] = {}
    define_metric = log_params = log_text = set_tracking_uri = Html = lambda self, *args, **kwargs: None

    def __init__(self):
        self.written: list[Any] = []

    def init(self, **_: Any) -> Any:
        return self

    def start_run(self, **_: Any) -> Any:
        return types.SimpleNamespace(info=types.SimpleNamespace(run_id="1"))

    def active_run(self) -> None:
        return None

    def get_run(self, run_id: str) -> Any:
        return types.SimpleNamespace(data=types.SimpleNamespace(params={}))

    def log(self, values: Any, step: Any = None) -> None:
        if "summary" in values:
            return
        if len(self.written) in (1, 2):
            self.written.append(None)
            raise RuntimeError("the disk is full")
        self.written.append(values)

    log_metrics = log
    finish = end_run = no_space


def about(callback: str, told: Iterable[warnings.WarningMessage]) -> list[warnings.WarningMessage]:
    """Its own warnings: others, as that of a step compiled again, depend on which tests ran before."""
    return [w for w in told if f"`{callback}`" in str(w.message)]


@pytest.mark.parametrize("name", ["WandB", "MLflow"])
def test_a_logger_that_fails_costs_its_log(name, monkeypatch):
    """With one warning. What can be written again is, and the next run is warned of again."""
    fake = Failing()
    monkeypatch.setitem(sys.modules, name.lower(), fake)
    use = getattr(tg.callbacks, name)()
    with pytest.warns(
        UserWarning, match=rf"`{name}` can't write its log, which misses what .*: the disk is full"
    ) as told:
        _, history = fit(use)
    assert [w.filename for w in about(name, told)] == [helpers.__file__]
    assert len(history.epoch) == 3 and fake.written[0] is not None
    with pytest.warns(UserWarning, match=rf"`{name}` can't (end|finish) its run: No space left on device") as told:
        fit(use)
    assert len(about(name, told)) == 1 and all(fake.written[3:])


def test_the_directory_of_wandb_is_known_at_once(tmp_path, monkeypatch):
    fake, seen = Failing(), dict[str, Any]()
    monkeypatch.setattr(Failing, "init", lambda self, **arguments: seen.update(arguments) or self)
    monkeypatch.setattr(Failing, "finish", lambda self: None)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.chdir(tmp_path)
    use = tg.callbacks.WandB(dir="runs")
    monkeypatch.chdir("/")
    with pytest.warns(UserWarning, match="`WandB` can't write its log"):
        fit(use)
    assert seen["dir"] == str(tmp_path / "runs")
    with pytest.raises(ValueError, match="`dir` is empty; a path is expected"):
        tg.callbacks.WandB(dir="")


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnhandledThreadExceptionWarning",
    "ignore:unclosed file:ResourceWarning",  # of writers whose constructor has failed
    "ignore::pytest.PytestUnraisableExceptionWarning",
)
@pytest.mark.parametrize("epoch", [0, 1])
def test_tensorboard_on_a_full_disk(tmp_path, monkeypatch, epoch):
    """Its thread ends, whose queue nobody empties any more: the run doesn't wait for it."""
    writers = pytest.importorskip("tensorboardX.record_writer", reason="tensorboardX isn't installed")
    monkeypatch.setattr(threading, "excepthook", lambda args: None)

    def fill(at: int, logs: Any) -> None:
        if at == epoch:
            monkeypatch.setattr(writers.RecordWriter, "write", no_space)

    use = [tg.callbacks.LambdaCallback(on_epoch_begin=fill), tg.callbacks.TensorBoard(tmp_path, update_freq="batch")]
    with pytest.warns(UserWarning, match=r"`TensorBoard` can't write its log") as told:
        _, history = fit(*use, epochs=20)
    assert len(about("TensorBoard", told)) == 1 and len(history.epoch) == 20
    gc.collect()  # now, where their files may be unclosed


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnhandledThreadExceptionWarning",
    "ignore:unclosed file:ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
)
def test_tensorboard_on_a_slow_disk_that_fails(tmp_path, monkeypatch):
    """Its thread ends while more values wait for it than tensorboardX takes by default: none of them waits for ever."""
    writers = pytest.importorskip("tensorboardX.record_writer", reason="tensorboardX isn't installed")
    monkeypatch.setattr(threading, "excepthook", lambda args: None)

    def write_slowly(*args: Any) -> None:
        if threading.current_thread() is not threading.main_thread():
            time.sleep(0.2)
        no_space()

    def fill(at: int, logs: Any) -> None:
        if at == 1:
            monkeypatch.setattr(writers.RecordWriter, "write", write_slowly)
        if at == 10:  # 36 values later
            time.sleep(0.5)

    use = [tg.callbacks.LambdaCallback(on_epoch_begin=fill), tg.callbacks.TensorBoard(tmp_path, update_freq="batch")]
    with pytest.warns(UserWarning, match=r"`TensorBoard` can't write its log") as told:
        _, history = fit(*use, epochs=20)
    assert len(about("TensorBoard", told)) == 1 and len(history.epoch) == 20
    gc.collect()


def test_tensorboard_that_cannot_write_at_all(tmp_path):
    pytest.importorskip("tensorboardX", reason="tensorboardX isn't installed")
    (tmp_path / "file").write_text("")
    with pytest.warns(UserWarning, match="`TensorBoard` can't write its log.*: Not a directory") as told:
        _, history = fit(tg.callbacks.TensorBoard(tmp_path / "file" / "logs"))
    assert len(about("TensorBoard", told)) == 1 and len(history.epoch) == 3


def test_csv_logger_that_cannot_write_where_it_resumes(tmp_path, monkeypatch):
    backup, replace = tg.callbacks.BackupAndRestore(tmp_path / "backup"), os.replace
    fail = tg.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: 1 // (epoch != 2))
    with pytest.raises(ZeroDivisionError):
        fit(tg.callbacks.CSVLogger(tmp_path / "log.csv"), fail, backup)
    monkeypatch.setattr(os, "replace", lambda a, b: no_space() if str(b).endswith(".csv") else replace(a, b))
    with pytest.warns(UserWarning, match=r"`CSVLogger` can't write '.*log.csv': No space left on device") as told:
        _, history = fit(tg.callbacks.CSVLogger(tmp_path / "log.csv"), backup)
    assert len(about("CSVLogger", told)) == 1 and len(history.epoch) == 3


def test_a_profiler_that_cannot_write(tmp_path, monkeypatch):
    monkeypatch.setattr(jax.profiler, "start_trace", lambda path: None)
    monkeypatch.setattr(jax.profiler, "stop_trace", no_space)
    with pytest.warns(
        UserWarning, match=r"`Profiler` can't write its trace into '.*': No space left on device"
    ) as told:
        fit(tg.callbacks.Profiler(tmp_path, start=1, steps=2))
    assert len(about("Profiler", told)) == 1


def test_a_server_that_answers_nonsense():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            for _ in range(3):
                connection, _ = server.accept()
                connection.recv(100_000)
                connection.sendall(b"nonsense\r\n\r\n")
                connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        root = f"http://127.0.0.1:{server.getsockname()[1]}"
        with pytest.warns(UserWarning, match=f"`RemoteMonitor` can't send to {root}/publish") as told:
            _, history = fit(tg.callbacks.RemoteMonitor(root))
        thread.join()
    assert len(about("RemoteMonitor", told)) == 1 and len(history.epoch) == 3


def test_a_file_that_is_no_table(tmp_path):
    (tmp_path / "log.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(tg.DataError, match="log.csv' is no CSV file to append to"):
        fit(tg.callbacks.CSVLogger(tmp_path / "log.csv", append=True))


@pytest.mark.parametrize(
    ("name", "module"), [("TensorBoard", "tensorboardX"), ("WandB", "wandb"), ("MLflow", "mlflow")]
)
def test_what_is_missing_is_named(name, module, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(ImportError, match=rf'pip install "treegy\[{name.lower()}\]"'):
        getattr(tg.callbacks, name)()
