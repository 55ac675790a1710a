"""The model that a metric value is about, which isn't the one that is trained where validation looks at another."""

from .._loop._training_run import TrainingRun
from .._steps._model_like import M


def measured(model: M, run: TrainingRun, monitor: str | None) -> M:
    """Return what validation looks at when `model` is trained: as with [`treegy.callbacks.EMA`][], averaged parameters.

    **Arguments:**

    - `run`: the run, which knows the callbacks.
    - `monitor`: the name of the metric value; `None` where there is none, and the validation counts.
    """
    if not run.has_validation or not (monitor is None or monitor.startswith("val_")):
        return model
    return run.to_validate(model)
