"""Loggers that write with other people's libraries, read back by these libraries' own readers."""

import importlib
import json
import time
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
import optax
import pytest

import treegy as tg

X = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
Y = np.random.default_rng(1).normal(size=(20, 2)).astype(np.float32)
SGD = optax.sgd(0.1)


def fit(*use: Any, **arguments: Any) -> tuple[tg.Model[Any], tg.History]:
    net = eqx.nn.MLP(3, 2, 5, 1, key=jax.random.key(0))
    model = tg.Model(net, loss=tg.losses.MeanSquaredError(), optimizer=SGD)
    return model.fit(X, Y, batch_size=5, epochs=3, verbose=0, callbacks=list(use), **arguments)


def failing() -> tg.callbacks.Callback:
    def fail(epoch: int, logs: Any) -> None:
        raise RuntimeError("no")

    return tg.callbacks.LambdaCallback(on_epoch_end=fail)


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
        if kind == 0:  # the rest of a block
            at = (at // 32768 + 1) * 32768
            continue
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
    assert (run.info.status, run.data.params, run.info.run_name) == ("FINISHED", {"lr": "0.1"}, "first")
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
    """A training of four epochs that fails in its third one, after a backup of its sixth step; and the rest of it."""

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
    assert (run.info.status, run.data.params, run.info.run_name) == ("FINISHED", {"lr": "0.1"}, "night")
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
        found = {row["epoch"]: row["loss"] for path in (first, second) for row in wandb_rows(path)}
    assert found == expected


@pytest.mark.parametrize(
    ("name", "module"), [("TensorBoard", "tensorboardX"), ("WandB", "wandb"), ("MLflow", "mlflow")]
)
def test_what_is_missing_is_named(name, module, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(ImportError, match=rf'pip install "treegy\[{name.lower()}\]"'):
        getattr(tg.callbacks, name)()
