"""`TensorBoard`: figures for TensorBoard."""

import os
from collections.abc import Mapping
from typing import Any

from .._callback import Logs
from ._figure_logger import FigureLogger, scalars


class TensorBoard(FigureLogger):
    """Write figures for TensorBoard: those of training into `log_dir/train`, of validation into `log_dir/validation`.

    Both have the same tags, so that they are drawn together: `epoch_loss`, and `batch_loss` with `update_freq`.
    Needs tensorboardX: `pip install "treegy[tensorboard]"`.
    """

    def __init__(self, log_dir: str | os.PathLike[str] = "logs", update_freq: str | int = "epoch"):
        """**Arguments:**

        - `log_dir`: where to write.
        - `update_freq`: `"epoch"`; or also within epochs, after every so many steps or each `"batch"`.

        **Raises:** `ImportError` without tensorboardX.
        """
        super().__init__(update_freq)
        self._log_dir = os.fspath(log_dir)
        self._writer_class = _writer_class()
        self._writers: dict[str, Any] = {}

    def write(self, figures: Mapping[str, Any], step: int) -> None:
        for name, value in scalars(figures).items():
            part = "validation" if name.startswith("val_") else "train"
            if part not in self._writers:
                self._writers[part] = self._writer_class(os.path.join(self._log_dir, part))
            tag = name.removeprefix("val_")
            self._writers[part].add_scalar(tag if tag.startswith("batch_") else f"epoch_{tag}", value, step)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        super().on_epoch_end(epoch, logs)
        for writer in self._writers.values():
            writer.flush()

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()


def _writer_class() -> Any:
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise ImportError('`TensorBoard` writes with tensorboardX: pip install "treegy[tensorboard]"') from error
    return SummaryWriter
