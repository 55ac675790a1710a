"""`ModelCheckpoint`: models of some moments of a run, kept in a directory."""

import math
import os
from typing import cast

from .._checks import flag, optional
from .._describe import describe
from .._errors import CheckpointError
from .._loop._callback import Callback, Logs
from .._loop._every import next_multiple, steps_of
from .._loop._monitor import Monitor, check_mode
from .._paths import anywhere
from .._saving._checkpoints import named_arrays
from .._saving._documents import MODEL, VERSIONS
from .._saving._shared_checkpoints import AnyCheckpoints, open_checkpoints
from .._steps._evaluated import evaluated_parameters
from .._steps._stacks import step_of
from .._steps._states import States
from .._types import Mode, PyTree, SaveFreq, Values
from ._failures import forgiven
from ._measured import measured


class _Default(str):
    """An argument that nobody has given."""


_AUTO = cast(Mode, _Default("auto"))


class ModelCheckpoint(Callback):
    """Keep the model of each epoch, or of every so many steps, or only of the best ones.

    `model.load(path)` reads the newest, with `save_best_only` the best; `model.load(path, step=...)` another. What is
    written is what `model.save` writes: parameters, optimizer and all other states. Where validation looks at averaged
    parameters ([`treegy.callbacks.EMA`][]), both are written: `load` gives the model that was measured, and
    `model.load(path, averaged=False)` the one with which training continues. Writing continues in the background while
    training does, and a checkpoint is there as a whole or not at all.

    Checkpoints are named by the steps of the model, each a directory. A run that begins at a step before those that are
    there refuses such a directory; one that resumes from a backup replaces what it had written after that. Directories
    of other content are left alone, whatever they are called.

    !!! example

        ```python
        import treegy as tg

        best = tg.callbacks.ModelCheckpoint("models", monitor="val_loss", save_best_only=True)
        ```
    """

    holds_model: bool = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        monitor: str = _Default("val_loss"),  # noqa: B008
        mode: Mode = _AUTO,
        save_best_only: bool = False,
        save_freq: SaveFreq = "epoch",
        keep: int | None = None,
        overwrite: bool = False,
        initial_value_threshold: float | int | None = None,
    ):
        """**Arguments:**

        - `path`: the directory, or one of a store such as `gs://bucket/models`, for which `etils.epath` and the package
            of fsspec for that store have to be installed.
        - `monitor`, `mode`: the metric value by which models are better, and how; with `save_best_only` only.
        - `save_best_only`: whether only the best models are kept, by default one.
        - `save_freq`: after each `"epoch"`, or after every so many steps.
        - `keep`: how many; the last ones, or the best ones. All by default, or one with `save_best_only`.
        - `overwrite`: whether checkpoints of later steps than that at which the run begins are replaced.
        - `initial_value_threshold`: with `save_best_only`, what a model must be better than to be kept at all.

        **Raises:** `ValueError` for arguments that would be ignored; in `fit` `KeyError` before the first step if there
        will be no such metric value, and [`treegy.CheckpointError`][] where the directory can't be written into, holds
        what `model.save` has written, or would have to be overwritten. When the run is over, what can't be written any
        more is only warned of, so that `fit` returns its model.
        """
        self._path = anywhere("path", path)
        if {"{", "}"} <= set(os.path.basename(os.fspath(path))):
            raise ValueError(
                f"`path` is {describe(path)}: nothing is filled in. It is a directory, in which each model is named by "
                "its step; `keep` says how many there are, and `model.load(path, step=...)` reads one."
            )
        check_mode(mode)
        if not flag("save_best_only", save_best_only):
            given = {
                "monitor": monitor if not isinstance(monitor, _Default) else None,
                "mode": mode if mode != "auto" else None,
                "initial_value_threshold": initial_value_threshold,
            }
            for name in (n for n, value in given.items() if value is not None):
                raise ValueError(
                    f"`{name}` is {describe(given[name])}, and every model is kept, however good it is: with "
                    f"`save_best_only=True` it counts; else leave `{name}` out."
                )
        self._monitor = Monitor(str(monitor), cast(Mode, str(mode))) if save_best_only else None
        self._every = steps_of("save_freq", save_freq)
        self._keep = 1 if keep is None and save_best_only else optional("keep", keep)
        self._overwrite = flag("overwrite", overwrite)
        if initial_value_threshold is not None and not isinstance(initial_value_threshold, float | int):
            raise ValueError(f"`initial_value_threshold` is {describe(initial_value_threshold)}; a number is expected.")
        self._threshold = initial_value_threshold
        self._values: dict[int, float] = {}
        self._checkpoints: AnyCheckpoints | None = None

    def on_train_begin(self, logs: Logs) -> None:
        if self._monitor is not None:
            self._monitor.expect(self.training_run, type(self).__name__)
        best = None if self._monitor is None else self._monitor.mode
        self._checkpoints = open_checkpoints(
            self.training_run.model.strategy, self._path, keep=self._keep, best=best, kind=MODEL
        )
        self._values = self._checkpoints.values
        self._looked = False

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        self._look_around()

    def _look_around(self) -> None:
        """See to what is there already, once it is known whether the run resumes from a backup."""
        if self._looked:
            return
        assert self._checkpoints is not None
        self._looked, run = True, self.training_run
        later = [step for step in self._checkpoints.steps if step > run.process_start]
        if later and run.process_start == run.run_start and not self._overwrite:
            raise CheckpointError(
                f"'{self._path}' holds checkpoints of other runs, of step {', '.join(map(str, later[-3:]))}, and "
                f"this one begins at step {run.run_start}. Choose another directory, remove that one, or pass "
                "`overwrite=True`."
            )
        self._values = {step: value for step, value in self._values.items() if step <= run.process_start}
        self._checkpoints.go_on_from(run.process_start)

    def next_step(self, step: int) -> int | None:
        return None if self._every is None else next_multiple(step, self._every)

    def on_step_end(self, step: int, logs: Logs) -> None:
        self._look({**logs, **self.training_run.validated})

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        if self._every is None:
            self._look(logs)

    def _look(self, logs: Logs) -> None:
        self._look_around()
        assert self._checkpoints is not None
        value = None
        if self._monitor is not None:
            value = self._monitor.read(logs, self.training_run, type(self).__name__)
            if value is None or not self._is_among_the_best(value):
                return
        model = self.model
        shown = measured(model, self.training_run, None if self._monitor is None else self._monitor.name)
        trained: dict[str, PyTree] = named_arrays(model.states)
        others = {} if shown is model else named_arrays(shown.states)
        document = {
            "format": MODEL,
            "version": VERSIONS[MODEL],
            "states": trained,
            # What differs in the model that was measured.
            "measured": {name: array for name, array in others.items() if array is not trained.get(name)},
            # What the module alone is evaluated with, where its optimizer would say so.
            "evaluated": named_arrays(States(net_params=evaluated_parameters(shown.states))),
        }
        step = step_of(model.states)
        with forgiven(self.training_run.over):
            self._checkpoints.save(step, document, value)
        if value is not None:
            self._values[step] = value
            self._values = dict(self._ranked()[: self._keep])

    def _is_among_the_best(self, value: float) -> bool:
        assert self._monitor is not None and self._keep is not None
        if math.isnan(value) or (self._threshold is not None and not self._monitor.better(value, self._threshold)):
            return False
        return len(self._values) < self._keep or self._monitor.better(value, self._ranked()[-1][1])

    def _ranked(self) -> list[tuple[int, float]]:
        """Return those that are kept, the best first."""
        sign = 1 if self._monitor is None or self._monitor.mode == "min" else -1
        return sorted(self._values.items(), key=lambda item: sign * item[1])

    def state(self) -> Values:
        # Also of those that better ones have replaced since: what is trained again is compared with them again.
        return {"values": self._values}

    def restore(self, state: Values) -> None:
        self._values = dict(state["values"])

    def close(self) -> None:
        checkpoints, self._checkpoints = self._checkpoints, None
        if checkpoints is not None:
            with forgiven(True):
                checkpoints.close()
