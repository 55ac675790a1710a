"""Laws over every logger of the package: none ends a run, and all of them write what there is, under the same names."""

import contextlib
import csv
import inspect
import json
import os
import subprocess
import sys
import time
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
import optax
import pytest
from test_loggers import wandb_rows

import helpers
import treegy as tg
from helpers import X, Y, make_model, run_script

SGD = optax.sgd(0.01)

pytestmark = [
    pytest.mark.once,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

# What W&B adds to each row, and to a text.
OF_WANDB = ("_step", "_runtime", "_timestamp", "summary/size")

# What is found: `(name, axis, at)` of a value, such as `("loss", "epoch", 0)`.
Values = dict[tuple[str, str, int], float]


class Log:
    """A logger in a directory of its own, what it has written there, and how its library fails."""

    steps = True
    """Whether it writes values of steps, and in `evaluate`."""

    def __init__(self, path: Path, patch: pytest.MonkeyPatch):
        self.path, self.patch = path, patch

    def make(self, **arguments: Any) -> Any: ...
    def values(self) -> Values: ...
    def break_it(self) -> None: ...


class OfTensorBoard(Log):
    def make(self, **arguments: Any) -> Any:
        pytest.importorskip("tensorboardX", reason="tensorboardX isn't installed")
        return tg.callbacks.TensorBoard(self.path, **arguments)

    def values(self) -> Values:
        events = pytest.importorskip(
            "tensorboard.backend.event_processing.event_accumulator", reason="tensorboard isn't installed"
        )
        found: Values = {}
        for part in sorted(path.name for path in self.path.iterdir()):
            reader = events.EventAccumulator(str(self.path / part))
            reader.Reload()
            for tag in reader.Tags()["scalars"]:
                kind, _, name = tag.partition("_")
                name = f"val_{name}" if part == "validation" else name
                for event in reader.Scalars(tag):
                    key = (name, "epoch", event.step) if kind == "epoch" else (f"{kind}_{name}", "step", event.step)
                    found[key] = event.value
        return found

    def break_it(self) -> None:
        module = pytest.importorskip("tensorboardX", reason="tensorboardX isn't installed")
        for name in ("add_scalar", "add_text", "flush", "add_histogram"):
            self.patch.setattr(module.SummaryWriter, name, fail)


class OfWandB(Log):
    def make(self, **arguments: Any) -> Any:
        pytest.importorskip("wandb", reason="wandb isn't installed")
        self.patch.setenv("WANDB_SILENT", "true")
        return tg.callbacks.WandB(project="test", mode="offline", dir=str(self.path), **arguments)

    def values(self) -> Values:
        (file,) = self.path.rglob("*.wandb")
        before, rows = -1, wandb_rows(file)
        while len(rows) != before:  # wandb may not have written all of it yet
            before = len(rows)
            time.sleep(0.3)
            rows = wandb_rows(file)
        found: Values = {}
        for row in rows:
            (axis,) = {"epoch", "step"} & row.keys()
            for name, value in row.items():
                if isinstance(value, float | int) and name not in (axis, *OF_WANDB):
                    found[name, axis, row[axis]] = value
        return found

    def break_it(self) -> None:
        run = pytest.importorskip("wandb.sdk.wandb_run", reason="wandb isn't installed").Run
        for name in ("log", "define_metric"):
            self.patch.setattr(run, name, fail)


class OfMLflow(Log):
    def make(self, **arguments: Any) -> Any:
        mlflow = pytest.importorskip("mlflow", reason="mlflow isn't installed")
        self.patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        mlflow.set_tracking_uri(self.path.as_uri())
        self.experiment = mlflow.set_experiment("test").experiment_id
        return tg.callbacks.MLflow(**arguments)

    @property
    def runs(self) -> Any:
        return sys.modules["mlflow"].tracking.MlflowClient(self.path.as_uri()).search_runs([self.experiment])

    def values(self) -> Values:
        client = sys.modules["mlflow"].tracking.MlflowClient(self.path.as_uri())
        found: Values = {}
        for run in self.runs:
            for name in run.data.metrics:
                for metric in client.get_metric_history(run.info.run_id, name):
                    # Metrics of MLflow don't know what their steps count; those of ours are from 1.
                    of_steps = name.startswith(("batch_", "evaluate_")) and metric.step
                    found[name, "step" if of_steps else "epoch", metric.step] = metric.value
        return found

    def break_it(self) -> None:
        mlflow = pytest.importorskip("mlflow", reason="mlflow isn't installed")
        for name in ("log_metrics", "log_params", "log_text", "end_run"):
            self.patch.setattr(mlflow, name, fail)


class OfCSV(Log):
    steps = False

    def make(self, **arguments: Any) -> Any:
        return tg.callbacks.CSVLogger(self.path / "log.csv")

    def values(self) -> Values:
        with (self.path / "log.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        return {
            (name, "epoch", int(row["epoch"])): float(value)
            for row in rows
            for name, value in row.items()
            if name != "epoch" and value
        }

    def break_it(self) -> None:
        self.patch.setattr(Path, "open", fail)


class OfServer(Log):
    steps = False

    def __init__(self, path: Path, patch: pytest.MonkeyPatch):
        super().__init__(path, patch)
        self.rows: list[dict[str, Any]] = []

    def make(self, **arguments: Any) -> Any:
        class Answer:
            __enter__ = __exit__ = lambda self, *args: None

        def receive(request: Any, timeout: Any) -> Any:
            self.rows.append(json.loads(request.data))
            return Answer()

        self.patch.setattr(urllib.request, "urlopen", receive)
        return tg.callbacks.RemoteMonitor(send_as_json=True)

    def values(self) -> Values:
        return {(n, "epoch", row["epoch"]): v for row in self.rows for n, v in row.items() if n != "epoch"}

    def break_it(self) -> None:
        self.patch.setattr(urllib.request, "urlopen", fail)


def fail(*_: Any, **__: Any) -> Any:
    raise RuntimeError("the disk is full")


LOGS: dict[str, Callable[..., Log]] = {
    "TensorBoard": OfTensorBoard,
    "WandB": OfWandB,
    "MLflow": OfMLflow,
    "CSVLogger": OfCSV,
    "RemoteMonitor": OfServer,
}


def test_every_logger_is_tried():
    """A new one is one that takes logs to somewhere, and is to be read back here."""
    found = {
        name
        for name, thing in vars(tg.callbacks).items()
        if inspect.isclass(thing) and (name.endswith(("Logger", "Monitor")) or hasattr(thing, "write_text"))
    }
    assert found - {"ProgbarLogger"} == set(LOGS)


@pytest.fixture(params=LOGS)
def log(request: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    (tmp_path / "log").mkdir()
    yield LOGS[request.param](tmp_path / "log", monkeypatch)
    if request.param == "MLflow" and "mlflow" in sys.modules:
        monkeypatch.undo()
        sys.modules["mlflow"].end_run()


class Constant(tg.Metric):
    """A metric that is the same number in each batch."""

    number: float = 0.0

    def call(self, y_true):
        return 0 * y_true[..., 0] + self.number


def fit(*use: Any, metrics: Any = None, **arguments: Any) -> tuple[Any, tg.History]:
    return helpers.fit(*use, model=make_model(SGD, metrics=metrics), **arguments)


def told_by(logger: Any, told: Any) -> list[str]:
    return [str(w.message) for w in told if f"`{type(logger).__name__}`" in str(w.message)]


NASTY = [
    *("acc@5", "acc#5", "f1 (macro)", "epoch", "step", "batch_loss", "batch_hard_loss", "batch_acc_5", "a/b", "a//b"),
    *("/a", "a/", ".", "..", "../up", "_step", "é", "損失", "a,b", 'a;"b"', "a\nb", "a=b", "a:b", "a b", "[0]", "*"),
    *("val_", "x" * 300, "x" * 299 + "y", "evaluate_loss", "val_loss_", "%", "\\", "batch_", "loss_1"),
]


def test_any_name_of_a_metric_is_logged(log):
    """Each under a name of its own, the same in all libraries, and with its own values."""
    metrics = [Constant(number=float(i), name=name) for i, name in enumerate(NASTY)]
    logger = log.make(update_freq=2)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        _, history = fit(logger, metrics=metrics, epochs=1, validation_data=(X, Y))
    assert not told_by(logger, told)
    found = log.values()
    at_epoch = {name: value for (name, axis, _), value in found.items() if axis == "epoch"}
    assert len(at_epoch) == len(history.history)
    assert np.allclose(sorted(at_epoch.values()), sorted(v[0] for v in history.history.values()))
    for plain in ("loss", "batch_loss", "batch_hard_loss", "a/b", "é", "val_loss"):
        assert np.isclose(at_epoch[plain], history[plain][0])
    if log.steps:
        at_step = {name: value for (name, axis, at), value in found.items() if axis == "step" and at == 4}
        assert len(at_step) == len(NASTY) + 2
        numbers = sorted(v for v in at_step.values())
        assert np.allclose(numbers, sorted(v[0] for name, v in history.history.items() if not is_of_validation(name)))


def is_of_validation(name: str) -> bool:
    return name.startswith("val_") and name not in NASTY


@pytest.mark.parametrize("kind", ["epoch", "steps"])
def test_validations_are_logged_where_they_are(log, kind):
    every = 1 if kind == "epoch" else tg.Every(steps=3)
    _, history = fit(log.make(), validation_data=(X, Y), validation_freq=every)
    found = log.values()
    if kind == "steps" and log.steps:
        for step, values in history.validations:
            assert np.isclose(found["batch_val_loss", "step", step], values["val_loss"])
    else:
        assert not [key for key in found if key[1] == "step"]
    for epoch, value in zip(history.epoch, history["val_loss"], strict=True):
        assert np.isclose(found["val_loss", "epoch", epoch], value)


def test_a_backend_that_raises_ends_no_run(log):
    """It is told of, once, and what could be written before is there."""
    logger = log.make(update_freq=1)
    broken = tg.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: log.break_it())
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        _, history = fit(logger, broken)
    assert len(history.epoch) == 3
    assert len(told_by(logger, told)) == 1
    assert "the disk is full" in told_by(logger, told)[0]


def test_a_backend_that_cannot_begin_ends_no_run(log):
    logger = log.make(update_freq=1)
    log.break_it()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        _, history = fit(logger)
    assert len(history.epoch) == 3 and len(told_by(logger, told)) == 1


def test_evaluate_is_logged_or_it_is_said_that_it_is_not(log):
    model, _ = fit()
    logger = log.make()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = model.evaluate(X, Y, verbose=0, callbacks=[logger])
    if log.steps:
        assert not told_by(logger, told)
        assert np.isclose(log.values()["evaluate_loss", "step", 12], found["loss"])
    else:
        assert "none of `evaluate`" in told_by(logger, told)[0]


def test_what_was_written_before_an_interruption_is_there_once(log, tmp_path):
    """A run that resumes in another process writes what is missing."""

    class Failing(tg.callbacks.Callback):
        comes_last = True

        def next_step(self, step):
            return 6 if step < 6 else None

        def on_step_end(self, step, logs):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fit(log.make(), Failing(), tg.callbacks.BackupAndRestore(tmp_path / "backup", 1))
    _, history = fit(log.make(), tg.callbacks.BackupAndRestore(tmp_path / "backup", 1))
    if isinstance(log, OfWandB):
        return  # an offline run has a file for each process, whose rows test_loggers.py reads
    found = log.values()
    assert [found["loss", "epoch", i] for i in range(3)] == pytest.approx(history["loss"])


COUNTED = """
import sys
from pathlib import Path
import equinox as eqx, jax, numpy as np, optax
import treegy as tg
import warnings

def wrote():
    return int(Path("/proc/self/io").read_text().split("wchar:")[1].split()[0])

kind, path, epochs = sys.argv[1], sys.argv[2], int(sys.argv[3])
def of_mlflow():
    import mlflow
    mlflow.set_tracking_uri(Path(path).as_uri())
    return tg.callbacks.MLflow()

loggers = {
    "CSVLogger": lambda: tg.callbacks.CSVLogger(Path(path) / "log.csv"),
    "TensorBoard": lambda: tg.callbacks.TensorBoard(path),
    "WandB": lambda: tg.callbacks.WandB(mode="offline", dir=path),
    "MLflow": of_mlflow,
}
logger = loggers[kind]()
metrics = [tg.metrics.MeanSquaredError(name=f"metric {i}") for i in range(5)]
network, loss = eqx.nn.Linear(3, 2, key=jax.random.key(0)), tg.losses.MeanSquaredError()
model = tg.Model(network, loss=loss, metrics=metrics, optimizer=optax.sgd(0.01))
x, y = np.ones((8, 3), "float32"), np.ones((8, 2), "float32")
model, _ = model.fit(x, y, verbose=0)
before = wrote()
model.fit(x, y, epochs=epochs, verbose=0, callbacks=[logger])
# W&B writes by another process.
print(wrote() - before + sum(file.stat().st_size for file in Path(path).rglob("*.wandb")))
"""


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="counts the bytes that Linux says were written")
@pytest.mark.parametrize(
    "kind", ["CSVLogger", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("TensorBoard", "WandB", "MLflow"))]
)
def test_the_cost_is_in_proportion_to_the_epochs(tmp_path, kind):
    library = {"TensorBoard": "tensorboardX", "WandB": "wandb", "MLflow": "mlflow"}.get(kind)
    if library is not None:
        pytest.importorskip(library, reason=f"{library} isn't installed")

    def wrote(epochs: int) -> int:
        (tmp_path / str(epochs)).mkdir()
        arguments = [sys.executable, "-c", COUNTED, kind, str(tmp_path / str(epochs)), str(epochs)]
        env = {**os.environ, "WANDB_SILENT": "true", "MLFLOW_ALLOW_FILE_STORE": "true"}
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=300, env=env)
        assert done.returncode == 0, done.stderr
        return int(done.stdout.split()[-1])

    assert wrote(400) < 4.5 * wrote(100)


FULL = """
import resource, signal, sys, warnings
import equinox as eqx, jax, numpy as np, optax
import treegy as tg

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
network, loss = eqx.nn.Linear(3, 2, key=jax.random.key(0)), tg.losses.MeanSquaredError()
model = tg.Model(network, loss=loss, optimizer=optax.sgd(0.01))
x, y = np.ones((8, 3), "float32"), np.ones((8, 2), "float32")
class Room(tg.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs):
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard if epoch == 19 else 200, hard))
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    _, history = model.fit(x, y, epochs=20, verbose=0, callbacks=[Room(), tg.callbacks.CSVLogger(sys.argv[1])])
assert len(history.epoch) == 20
print(len([w for w in told if "`CSVLogger` can't write" in str(w.message)]))
print(repr(history["loss"]))
"""


def test_a_disk_that_is_full_while_a_row_is_written(tmp_path):
    """No half a row is left, and all rows are written when there is room again."""
    path = tmp_path / "log.csv"
    done = run_script(FULL, str(path))
    assert done.returncode == 0, done.stderr
    warned, losses = done.stdout.splitlines()
    assert warned == "1"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["loss"]) for row in rows] == json.loads(losses)
    assert [row["epoch"] for row in rows] == [str(i) for i in range(20)]


# How a run ends


@pytest.mark.parametrize("outcome", ["finished", "failed", "interrupted"])
def test_how_a_run_ended_is_known(outcome, tmp_path, monkeypatch):
    def act(epoch: int, logs: Any) -> None:
        if outcome == "failed":
            raise ZeroDivisionError
        if outcome == "interrupted":
            stopping.stop("enough for now", interrupt=True)

    stopping = tg.callbacks.LambdaCallback(on_epoch_end=act)
    codes: list[Any] = []
    run = pytest.importorskip("wandb.sdk.wandb_run", reason="wandb isn't installed").Run
    finish = run.finish
    monkeypatch.setattr(run, "finish", lambda self, exit_code=None: [codes.append(exit_code), finish(self, exit_code)])
    mlflow = OfMLflow(tmp_path, monkeypatch)
    logs = [OfWandB(tmp_path, monkeypatch).make(), mlflow.make()]
    with pytest.raises(ZeroDivisionError) if outcome == "failed" else contextlib.nullcontext():
        fit(*logs, stopping)
    assert codes == [{"finished": 0, "failed": 1, "interrupted": 255}[outcome]]
    (ended,) = mlflow.runs
    assert ended.info.status == {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}[outcome]


# What else is written


def test_hyperparameters_and_the_summary_are_written_at_the_start(tmp_path, monkeypatch):
    board, mlflow = OfTensorBoard(tmp_path / "board", monkeypatch), OfMLflow(tmp_path / "mlflow", monkeypatch)
    model = tg.Model(
        eqx.nn.MLP(3, 2, 5, 1, key=jax.random.key(0)),
        loss=tg.losses.MeanSquaredError(),
        optimizer=tg.Optimizer(optax.sgd, 0.05),
    )
    loggers = [board.make(params={"why": "a test"}), mlflow.make(params={"why": "a test"})]
    model.fit(X, Y, batch_size=5, epochs=2, verbose=0, callbacks=loggers)
    (run,) = mlflow.runs
    expected = {"epochs": 2, "batch_size": 5, "steps_per_epoch": 4, "parameters": 32, "why": "a test"}
    assert {name: run.data.params[name] for name in expected} == {name: str(v) for name, v in expected.items()}
    assert float(run.data.params["lr"]) == pytest.approx(0.05)
    summary = Path(run.info.artifact_uri.removeprefix("file://"), "summary.txt").read_text()
    assert "MLP" in summary
    events = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="tensorboard isn't installed"
    )
    reader = events.EventAccumulator(str(board.path / "train"))
    reader.Reload()
    content = reader.Tensors("summary/text_summary")[0].tensor_proto.string_val[0].decode()
    assert content.replace("    ", "", 1).splitlines()[0] in summary.splitlines()[0]
    metadata = importlib_plugin("tensorboard.plugins.hparams.plugin_data_pb2").HParamsPluginData
    contents = reader.summary_metadata
    parsed = metadata.FromString(contents["_hparams_/session_start_info"].plugin_data.content).session_start_info
    assert {name: parsed.hparams[name].number_value for name in ("epochs", "batch_size")} == {
        "epochs": 2,
        "batch_size": 5,
    }
    assert parsed.hparams["why"].string_value == "a test"


def importlib_plugin(name: str) -> Any:
    return pytest.importorskip(name, reason="tensorboard isn't installed")


@pytest.mark.parametrize("name", ["TensorBoard", "WandB", "MLflow"])
def test_callbacks_write_histograms_images_and_texts(name, tmp_path, monkeypatch):
    log = LOGS[name](tmp_path, monkeypatch)
    logger = log.make()

    class Drawing(tg.callbacks.Callback):
        def on_epoch_end(self, epoch, logs):
            logger.histogram("weights (all)", self.model.parameters)
            logger.image("sample", np.linspace(0, 1, 64).reshape(8, 8))
            logger.text("note", "first line\nsecond line")

    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        fit(logger, Drawing(), epochs=2)
    if name == "TensorBoard":
        events = pytest.importorskip(
            "tensorboard.backend.event_processing.event_accumulator", reason="tensorboard isn't installed"
        )
        reader = events.EventAccumulator(str(tmp_path / "train"), {"histograms": 0, "images": 0, "tensors": 0})
        reader.Reload()
        assert [event.step for event in reader.Histograms("weights__all_")] == [4, 8]
        assert reader.Histograms("weights__all_")[0].histogram_value.num == 32
        assert [event.step for event in reader.Images("sample")] == [4, 8]
        assert len(reader.Tensors("note/text_summary")) == 2
    elif name == "MLflow":
        (run,) = log.runs  # pyright: ignore[reportAttributeAccessIssue]
        artifacts = Path(run.info.artifact_uri.removeprefix("file://"))
        table = json.loads((artifacts / "weights__all_" / "4.json").read_text())
        assert sum(table["counts"]) == 32
        assert (artifacts / "note" / "8.txt").read_text() == "first line\nsecond line"
        assert len(list((artifacts / "images").iterdir())) >= 2
    else:
        (file,) = tmp_path.rglob("*.wandb")
        end, keys = time.monotonic() + 20, set[str]()
        while not {"weights__all_", "sample", "note"} <= keys and time.monotonic() < end:
            keys = {key.partition("/")[0] for row in wandb_rows(file) for key in row}
        assert {"weights__all_", "sample", "note"} <= keys
