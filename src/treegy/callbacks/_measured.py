"""The model that a metric value is about, which isn't the one that is trained where validation looks at another."""

from typing import Any


def measured(model: Any, run: Any, monitor: str | None) -> Any:
    """What validation looks at when `model` is trained: as with [`treegy.callbacks.EMA`][], averaged parameters.

    **Arguments:**

    - `run`: the run, which knows the callbacks.
    - `monitor`: the name of the metric value; `None` where there is none, and the validation counts.
    """
    if run.validation is None or not (monitor is None or monitor.startswith("val_")):
        return model
    return run.callback_list.validated(model)
