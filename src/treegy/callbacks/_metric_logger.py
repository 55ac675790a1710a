"""What loggers have in common: which metric values they write when, under which names, and that they end no run."""

import abc
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import jax
import numpy as np

from .._loop._callback import Callback, Logs
from .._loop._every import next_multiple, steps_of
from .._loop._training_run import TrainingRun
from .._steps._stacks import step_of
from .._terms._naming import named_terms
from .._terms._term import Term
from .._types import PyTree, UpdateFreq, Values
from ..optimizers._hyperparameters import hyperparameters
from ._failures import Loss
from ._logged_names import logged_names

_WRITE = "write its log, which misses what can't be written"


class MetricLogger(Callback, abc.ABC):
    """Metric values of every epoch, and of every so many steps within it, for a library that keeps them.

    | what | name | over |
    |---|---|---|
    | metric values of an epoch, those of its validation | `loss`, `val_loss` | `epoch`, counted from 0 |
    | of the epoch so far, with `update_freq` | `batch_loss` | the model's `step`, counted from 1 |
    | of validations within an epoch | `batch_val_loss` | `step` |
    | of `evaluate` | `evaluate_loss` | `step` |

    Signs that some library doesn't allow in names (all but letters, digits, and `_`, `-`, `.`, `/`) become `_`,
    everywhere alike; names that would be equal then, or are those of an axis, get `_1`, `_2`. Elements of values that
    aren't scalars are `name/0`, `name/1`. Learning rates and the like that the optimizer holds are among the values of
    an epoch. When the run begins, its hyperparameters and the model's summary are written.

    Whatever fails costs the log, with one warning, and not the run.
    """

    only_first_process: ClassVar[bool] = True

    def __init__(self, update_freq: UpdateFreq = "epoch", params: Values | None = None):
        if not isinstance(params, Mapping | None):
            raise TypeError(f"`params` is {params!r:.100}; a dict is expected.")
        self._every = steps_of("update_freq", update_freq, batch=True)
        self._params = dict(params or {})
        self._loss = Loss(type(self).__name__)
        self._is_open = self._in_fit = self._is_described = False
        self._outcome = "failed"

    # What a library is to do

    @abc.abstractmethod
    def forget(self) -> None:
        """Begin a run that has nothing to do with the one before."""

    @abc.abstractmethod
    def start(self) -> None:
        """Begin to write, or resume in the run that was restored. Called again before each writing."""

    @abc.abstractmethod
    def describe(self, params: Values, summary: str) -> None:
        """Write the hyperparameters of a run that begins, and its model's summary."""

    @abc.abstractmethod
    def write(self, values: Mapping[str, float], axis: str, at: int) -> None:
        """Write values by name, at the `at`-th `"epoch"` or `"step"`."""

    @abc.abstractmethod
    def end(self, outcome: str) -> None:
        """End the run, as `"finished"`, `"interrupted"` or `"failed"`."""

    # What users' callbacks may write as well

    def histogram(self, name: str, values: PyTree, step: int | None = None) -> None:
        """Write a histogram of numbers.

        **Arguments:**

        - `name`: what it is called.
        - `values`: an array of any shape, or a PyTree of arrays, all of whose numbers are taken together.
        - `step`: where on the axis of steps; where the model is by default.
        """
        if self._silent:
            return
        with self._loss.of(_WRITE):
            flat = [np.asarray(leaf, np.float64).reshape(-1) for leaf in jax.tree.leaves(values)]
            self.start()
            self.write_histogram(_one(name), np.concatenate(flat), self._at(step))

    def image(self, name: str, image: PyTree, step: int | None = None) -> None:
        """Write an image.

        **Arguments:**

        - `name`: what it is called.
        - `image`: an array `(height, width)` or `(height, width, channels)` of one, three or four channels: bytes, or
            numbers from 0 to 1; or a figure of Matplotlib's.
        - `step`: where on the axis of steps; where the model is by default.
        """
        if self._silent:
            return
        with self._loss.of(_WRITE):
            self.start()
            self.write_image(_one(name), _pixels(image), self._at(step))

    def text(self, name: str, text: str, step: int | None = None) -> None:
        """Write a text.

        **Arguments:**

        - `name`: what it is called.
        - `text`: of any number of lines.
        - `step`: where on the axis of steps; where the model is by default.
        """
        if self._silent:
            return
        with self._loss.of(_WRITE):
            self.start()
            self.write_text(_one(name), str(text), self._at(step))

    @abc.abstractmethod
    def write_histogram(self, name: str, values: PyTree, step: int) -> None: ...
    @abc.abstractmethod
    def write_image(self, name: str, image: PyTree, step: int) -> None: ...
    @abc.abstractmethod
    def write_text(self, name: str, text: str, step: int) -> None: ...

    def _at(self, step: int | None) -> int:
        if step is not None:
            return int(step)
        if self._current is None:
            return 0
        return int(self._run.step if self._run is not None else self.model.states.step)

    # When it is done

    def next_step(self, step: int) -> int | None:
        return None if self._every is None else next_multiple(step, self._every)

    def on_train_begin(self, logs: Logs) -> None:
        self._open()
        self._in_fit = True

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        # Not before: now it is known whether the run resumes.
        with self._loss.of(_WRITE):
            self.start()
        if not self._is_described:
            self._is_described = True
            self.training_run.when_seen(self._describe)

    def on_step_end(self, step: int, logs: Logs) -> None:
        if not self._loss.now:  # else it is tried again at the end of the epoch
            self._write(logs, "step", step, "batch_")

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        self._write(logs, "epoch", epoch)

    def on_interrupt(self, logs: Logs) -> None:
        self._outcome = "interrupted"

    def on_train_end(self, logs: Logs) -> None:
        if self._outcome == "failed":
            self._outcome = "finished"

    def on_test_begin(self, logs: Logs) -> None:
        if not self._is_open:
            self._open()

    def on_test_end(self, logs: Logs) -> None:
        run = self._run
        if run is None:
            self._write(logs, "step", step_of(self.model.states), "evaluate_")
            if not self._in_fit:
                self._outcome = "finished"
        elif run.validates_within_epochs:
            self._write({f"val_{name}": value for name, value in logs.items()}, "step", run.step, "batch_")

    def close(self) -> None:
        self._is_open = self._in_fit = False
        with self._loss.of("end its run"):
            self.end(self._outcome)

    def _open(self) -> None:
        self._loss = Loss(type(self).__name__)
        self._is_open, self._is_described, self._outcome = True, False, "failed"
        self.forget()

    def _describe(self) -> None:
        with self._loss.of(_WRITE):
            run = self.training_run
            self.describe({**_hyperparameters(run), **self._params}, str(run.model.summary()))

    def _write(self, values: Values, axis: str, at: int, prefix: str = "") -> None:
        with self._loss.of(_WRITE):
            self.start()
            plain = scalars(values)
            names = logged_names(plain, prefix)
            self.write({names[name]: value for name, value in plain.items()}, axis, at)


def scalars(values: Values) -> dict[str, float]:
    """Return metric values as scalars: those that are arrays have one for each element, `name/0`, `name/1`, ..."""
    found: dict[str, float] = {}
    for name, value in values.items():
        array = np.asarray(value)
        if array.ndim == 0:
            found[name] = float(array)
        else:
            found.update({f"{name}/{i}": float(v) for i, v in enumerate(array.reshape(-1))})
    return found


def plain_params(params: Values) -> dict[str, bool | int | float | str]:
    """Return hyperparameters as every library takes them: what is no number is spelled out."""
    found: dict[str, bool | int | float | str] = {}
    for name, value in params.items():
        value = value.item() if hasattr(value, "item") and getattr(value, "ndim", 1) == 0 else value
        found[str(name)] = value if isinstance(value, bool | int | float | str) else f"{value!r:.500}"
    return found


def _hyperparameters(run: TrainingRun) -> dict[str, Any]:
    """Return what a run is made with."""
    model = run.model
    losses, metrics = named_terms(model.loss, model.metrics)
    found = {
        "epochs": run.epochs,
        "steps_per_epoch": run.steps_per_epoch,
        "batch_size": run.batch_size,
        "loss": _names(losses),
        "metrics": _names(metrics),
        "parameters": sum(np.size(leaf) for leaf in jax.tree.leaves(model.parameters)),
        **hyperparameters(model.states),
    }
    return {name: value for name, value in found.items() if value is not None}


def _names(terms: Iterable[Term]) -> str | None:
    return ", ".join(term.name for term in terms)[:500] or None


def _one(name: str) -> str:
    return logged_names([name])[name]


def _pixels(image: PyTree) -> np.ndarray:
    """Return an image as bytes `(height, width, channels)`."""
    if hasattr(image, "savefig"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        canvas: Any = FigureCanvasAgg(image)
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[..., :3]
    array = np.asarray(image)
    array = array[..., None] if array.ndim == 2 else array
    if array.ndim != 3 or array.shape[-1] not in (1, 3, 4):
        raise ValueError(
            f"an image of shape {array.shape}; (height, width) or (height, width, 1, 3 or 4 channels) is expected"
        )
    if array.dtype == np.uint8:
        return array
    return np.round(np.clip(array.astype(np.float64), 0, 1) * 255).astype(np.uint8)
