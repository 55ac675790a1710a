"""What has accumulated, as metric values that users see."""

from typing import Any

import jax
import numpy as np

from .._terms._logs import StepLogs
from .._types import Values

computed = jax.jit(StepLogs.compute)


def metric_values(logs: StepLogs) -> dict[str, Any]:
    """Logs as Python floats, NumPy arrays where a metric value isn't a scalar. Waits for the device."""
    return {name: shown(np.asarray(value)) for name, value in computed(logs).items()}


def each_of(stacked: Values, first: int, n: int) -> list[dict[str, Any]]:
    """Return the metric values of `n` steps from the `first` one on, which are stacked. Waits for the device."""
    arrays = {name: np.asarray(value) for name, value in stacked.items()}
    return [{name: shown(array[i]) for name, array in arrays.items()} for i in range(first, first + n)]


def shown(value: Any) -> Any:
    """Return a NumPy array as users see it: a scalar as a Python float."""
    return float(value) if value.ndim == 0 else value
