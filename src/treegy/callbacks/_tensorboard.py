"""`TensorBoard`: figures for TensorBoard."""

import contextlib
import importlib
import os
import struct
import threading
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .._callback import Logs
from .._places import local
from ._figure_logger import FigureLogger, scalars
from ._forgiven import Loss


class TensorBoard(FigureLogger):
    """Write figures for TensorBoard: those of training into `log_dir/train`, of validation into `log_dir/validation`.

    Both have the same tags, so that they are drawn together: `epoch_loss`, and `batch_loss` with `update_freq`.
    Needs tensorboardX: `pip install "treegy[tensorboard]"`.

    A training that [`treegy.callbacks.BackupAndRestore`][] goes on with doesn't write again what it has written. What
    can't be written while training goes on, because a disk is full, is warned of, once.
    """

    def __init__(self, log_dir: str | os.PathLike[str] = "logs", update_freq: str | int = "epoch"):
        """**Arguments:**

        - `log_dir`: where to write.
        - `update_freq`: `"epoch"`; or also within epochs, after every so many steps or each `"batch"`.

        **Raises:** `ImportError` without tensorboardX.
        """
        super().__init__(update_freq)
        self._log_dir = local("log_dir", log_dir)
        self._writer_class = _writer_class()
        self._writers: dict[str, Any] = {}
        self._begin("")

    def _begin(self, training: str) -> None:
        # In the names of the files: there may be those of other trainings beside them.
        self._training = training
        self._written: set[tuple[str, str, int]] = set()

    def on_train_begin(self, logs: Logs) -> None:
        self._begin(uuid.uuid4().hex[:8])
        self._loss = Loss(type(self).__name__)
        # What can't be written into at all is told now.
        self._log_dir.mkdir(parents=True, exist_ok=True)

    def write(self, figures: Mapping[str, Any], step: int) -> None:
        for name, value in scalars(figures).items():
            part = "validation" if name.startswith("val_") else "train"
            tag = name.removeprefix("val_")
            tag = tag if tag.startswith("batch_") else f"epoch_{tag}"
            if (part, tag, step) not in self._written:
                writer = self._writer(part)
                if _is_dead(writer):
                    # It would wait for that thread for ever. The next values go into a file of their own.
                    _abandon(self._writers.pop(part))
                    raise OSError(f"the thread that writes into '{self._log_dir / part}' has failed")
                writer.add_scalar(tag, value, step)

    def _writer(self, part: str) -> Any:
        if part not in self._writers:
            # Each process has a file of its own, also if it begins within the same second.
            suffix = f".{self._training}.{len(self._files(part))}"
            # Without a limit: where a queue is full, adding waits for its thread, which may end meanwhile.
            self._writers[part] = self._writer_class(str(self._log_dir / part), max_queue=0, filename_suffix=suffix)
        return self._writers[part]

    def _files(self, part: str) -> list[Path]:
        return list((self._log_dir / part).glob(f"*.{self._training}.*"))

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        super().on_epoch_end(epoch, logs)
        with self._loss.of("write its log"):
            for writer in self._writers.values():
                writer.flush()

    def state(self) -> Mapping[str, Any]:
        return {"training": self._training}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._begin(state["training"])
        for part in ("train", "validation"):
            self._written.update((part, tag, step) for file in self._files(part) for tag, step in _scalars_in(file))

    def close(self) -> None:
        writers, self._writers = self._writers, {}
        for writer in writers.values():
            with self._loss.of("end its log"):
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
    """The tags and steps of a file of events: records of a length (8 bytes), data, and a checksum of 4 bytes each."""
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
