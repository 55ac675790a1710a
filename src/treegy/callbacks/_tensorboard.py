"""`TensorBoard`: metric values for TensorBoard."""

import contextlib
import importlib
import os
import struct
import threading
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .._paths import local
from .._types import PyTree, UpdateFreq, Values
from ._logged_names import logged_names
from ._metric_logger import MetricLogger, plain_params

_PARTS = ("train", "validation", "evaluate")


class TensorBoard(MetricLogger):
    """Write metric values for TensorBoard: those of training into `log_dir/train`, of validation into
    `log_dir/validation`, of `evaluate` into `log_dir/evaluate`.

    Training and validation have the same tags, so that they are drawn together.

    | what | tag | over |
    |---|---|---|
    | metric values of an epoch | `epoch_loss` | `epoch`, counted from 0 |
    | of the epoch so far, with `update_freq`; of validations within an epoch | `batch_loss` | the model's `step` |
    | of `evaluate` | `evaluate_loss` | the model's `step` |
    | hyperparameters, in the HParams tab; the model's summary | `summary` | when the run begins |

    Needs tensorboardX: `pip install "treegy[tensorboard]"`. Signs in names that some logger doesn't allow become `_`.

    A run that [`treegy.callbacks.BackupAndRestore`][] resumes doesn't write again what it has written. What can't be
    written is warned of, once, and the run continues.

    !!! example

        ```python
        import treegy as tg

        board = tg.callbacks.TensorBoard("logs")

        class Weights(tg.callbacks.Callback):
            def on_epoch_end(self, epoch, logs):
                board.histogram("weights", self.model.parameters)
        ```
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] = "logs",
        update_freq: UpdateFreq = "epoch",
        params: Values | None = None,
    ):
        """**Arguments:**

        - `log_dir`: where to write.
        - `update_freq`: `"epoch"`; or also within epochs, after every so many steps or each `"batch"`.
        - `params`: further hyperparameters of the run.

        **Raises:** `ImportError` without tensorboardX.
        """
        super().__init__(update_freq, params)
        self._log_dir = local("log_dir", log_dir)
        self._writer_class = _writer_class()
        self._writers: dict[str, Any] = {}
        self._ending: Any = None
        self._begin(uuid.uuid4().hex[:8])

    def _begin(self, training: str) -> None:
        # In the names of the files: there may be those of other runs beside them.
        self._training = training
        self._written: set[tuple[str, str, int]] = set()

    @property
    def writer(self) -> Any:
        """The `tensorboardX.SummaryWriter` of `log_dir/train`, for whatever else is to be written."""
        return self._writer("train")

    def forget(self) -> None:
        self._begin(uuid.uuid4().hex[:8])
        self._ending = None

    def start(self) -> None:
        if not self._writers:
            self._log_dir.mkdir(parents=True, exist_ok=True)

    def describe(self, params: Values, summary: str) -> None:
        if self._is_written("train", "summary/text_summary", 0):
            return  # before the run was interrupted
        hparams = importlib.import_module("tensorboardX.summary").hparams
        names = self.training_run.names or ["loss"]
        tags = {f"epoch_{name}": 0.0 for name in logged_names(n for n in names if not n.startswith("val_")).values()}
        experiment, begin, self._ending = hparams(plain_params(params), tags)
        writer = self._alive("train")
        writer.file_writer.add_summary(experiment)
        writer.file_writer.add_summary(begin)
        writer.add_text("summary", _as_code(summary), 0)

    def write(self, values: Mapping[str, float], axis: str, at: int) -> None:
        for name, value in values.items():
            part, tag = _place(name, axis)
            if not self._is_written(part, tag, at):
                self._alive(part).add_scalar(tag, value, at)
        if axis == "epoch":
            for writer in self._writers.values():
                writer.flush()

    def write_histogram(self, name: str, values: PyTree, step: int) -> None:
        if not self._is_written("train", name, step):
            self._alive("train").add_histogram(name, values, step)

    def write_image(self, name: str, image: PyTree, step: int) -> None:
        if not self._is_written("train", name, step):
            self._alive("train").add_image(name, image, step, dataformats="HWC")

    def write_text(self, name: str, text: str, step: int) -> None:
        if not self._is_written("train", f"{name}/text_summary", step):
            self._alive("train").add_text(name, _as_code(text), step)

    def end(self, outcome: str) -> None:
        ending, self._ending = self._ending, None
        writers, self._writers = self._writers, {}
        with contextlib.ExitStack() as stack:
            # All of them, also if one fails.
            for writer in writers.values():
                stack.callback(_closed, writer)
            if ending is not None and outcome == "finished" and "train" in writers and not _is_dead(writers["train"]):
                writers["train"].file_writer.add_summary(ending)

    def _is_written(self, part: str, tag: str, at: int) -> bool:
        """Whether it was written before the run was interrupted."""
        return (part, tag, at) in self._written

    def _alive(self, part: str) -> Any:
        """Return the writer of a part.

        **Raises:** `OSError` if what it is given isn't written any more.
        """
        writer = self._writer(part)
        if _is_dead(writer):
            # It would wait for that thread for ever. The next values go into a file of their own.
            _abandon(self._writers.pop(part))
            raise OSError(f"the thread that writes into '{self._log_dir / part}' has failed")
        return writer

    def _writer(self, part: str) -> Any:
        if part not in self._writers:
            # Each process has a file of its own, also if it begins within the same second.
            suffix = f".{self._training}.{len(self._files(part))}"
            # Without a limit: where a queue is full, adding waits for its thread, which may end meanwhile.
            self._writers[part] = self._writer_class(str(self._log_dir / part), max_queue=0, filename_suffix=suffix)
        return self._writers[part]

    def _files(self, part: str) -> list[Path]:
        return list((self._log_dir / part).glob(f"*.{self._training}.*"))

    def state(self) -> Values:
        return {"training": self._training}

    def restore(self, state: Values) -> None:
        self._begin(state["training"])
        for part in _PARTS:
            self._written.update((part, tag, step) for file in self._files(part) for tag, step in _scalars_in(file))


def _place(name: str, axis: str) -> tuple[str, str]:
    """In which directory a value is written, and under which tag: validation has the tags of training."""
    if axis == "epoch":
        return ("validation" if name.startswith("val_") else "train"), f"epoch_{name.removeprefix('val_')}"
    if name.startswith("evaluate_"):
        return "evaluate", name
    if name.startswith("batch_val_"):
        return "validation", name.replace("batch_val_", "batch_", 1)
    return "train", name


def _as_code(text: str) -> str:
    """Return a text as Markdown that keeps its lines and columns, as TensorBoard shows texts."""
    return "\n".join(f"    {line}" for line in text.splitlines())


def _closed(writer: Any) -> None:
    if _is_dead(writer):
        _abandon(writer)
    else:
        writer.close()


def _is_dead(writer: Any) -> bool:
    """Whether the thread has ended that takes what is added to a writer, as it does when a disk is full."""
    worker = getattr(_events(writer), "_worker", None)
    return isinstance(worker, threading.Thread) and not worker.is_alive()


def _abandon(writer: Any) -> None:
    """Close the file of a writer whose thread has ended, which `close` would wait for."""
    events = _events(writer)
    events._closed = True  # tensorboardX closes it at exit
    with contextlib.suppress(Exception):
        events._event_queue.cancel_join_thread()
        events._event_queue.close()
    with contextlib.suppress(Exception):
        events._ev_writer._py_recordio_writer._writer.close()


def _events(writer: Any) -> Any:
    return getattr(getattr(writer, "file_writer", None), "event_writer", None)


def _scalars_in(file: Path) -> Iterator[tuple[str, int]]:
    """Yield the tags and steps of a file of events: records of a length (8 bytes), data, and a checksum (4 bytes)."""
    event = importlib.import_module("tensorboardX.proto.event_pb2").Event
    data, at = file.read_bytes(), 0
    while at + 12 <= len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        at += 12 + length + 4
        if at <= len(data):  # else the process was killed in the middle of it
            found = event.FromString(data[at - 4 - length : at - 4])
            yield from ((value.tag, found.step) for value in found.summary.value)


def _writer_class() -> Any:
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise ImportError('`TensorBoard` writes with tensorboardX: pip install "treegy[tensorboard]"') from error
    return SummaryWriter
