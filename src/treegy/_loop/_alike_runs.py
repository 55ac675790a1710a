"""Whether all processes of a run have called `fit` alike: what differs would hang, or train on something else."""

from typing import Any

import jax

from .._data._array_source import ArraySource
from .._data._as_arrays import named_leaves
from .._data._source import Source
from .._errors import ProcessError
from .._sharding._alike import check_alike, mark
from .._sharding._processes import is_shared
from .._sharding._strategy import Strategy
from .._types import PyTree
from ._callback import Callback
from ._fit_arguments import FitArguments

_ARRAYS = (
    "Arrays are the data of all processes, and each passes the whole of them; what each has a part of is passed as "
    "something that gives batches."
)
_CALL = "All processes call it with the same arguments."


def refuse_alone(strategy: Strategy | None) -> None:
    """**Raises:** [`treegy.ProcessError`][] if each of several processes would train a model of its own."""
    if strategy is None and jax.process_count() > 1:
        raise ProcessError(
            f"there are {jax.process_count()} processes, and the model has no strategy: each would train alone, on all "
            "of the data. Train together with `model.distributed(tg.parallel.DataParallel())`, or another strategy; or "
            "alone on the devices of each process, with `tg.parallel.DataParallel(jax.sharding.Mesh("
            "jax.local_devices(), ('data',)))`."
        )


def share_data(strategy: Strategy | None, about: str, **sources: Source | None) -> None:
    """Tell the data which strategy it is for, and compare it between processes.

    **Arguments:**

    - `**sources`: the data, by the names under which it was passed; `None` where there is none.

    **Raises:** [`treegy.ProcessError`][] if it differs.
    """
    for source in sources.values():
        if source is not None:
            source.share(strategy)
    if is_shared(strategy):
        here = {name: mark for role, source in sources.items() for name, mark in _marks(role, source).items()}
        check_alike(strategy, f"the data of {about}", here, _ARRAYS)


def check_calls_alike(strategy: Strategy | None, arguments: FitArguments, rng: PyTree) -> None:
    """**Raises:** [`treegy.ProcessError`][] if the processes have called `fit` with other arguments."""
    if not is_shared(strategy):
        return
    callbacks = arguments.callbacks or ()
    callbacks = [callbacks] if isinstance(callbacks, Callback) else callbacks
    here = {
        "`epochs`": arguments.epochs,
        "`initial_epoch`": arguments.initial_epoch,
        "`steps_per_epoch`": arguments.steps_per_epoch,
        "`steps_per_execution`": arguments.steps_per_execution,
        "`shuffle`": arguments.shuffle,
        "`validation_steps`": arguments.validation_steps,
        "`callbacks`": ", ".join(type(callback).__name__ for callback in callbacks),
        "the model's `seed`": None if rng is None else mark(rng),
    }
    check_alike(strategy, "`fit`", here, _CALL)


def _marks(role: str, source: Source | None) -> dict[str, Any]:
    if not isinstance(source, ArraySource):
        return {f"`{role}`": None if source is None else "something that gives batches"}
    prefix = "" if role == "x" else f"{role}: "
    found = {f"`{prefix}{name}`": mark(leaf) for name, leaf in named_leaves(source.arrays.examples)}
    return {**found, f"the batch size of `{role}`": source.batch_size}
