"""Where the data of a run is, for a backup: of what gives each process its own part, that of each process.

A run resumes with another number of processes where that doesn't matter: arrays anywhere, and what gives batches at the
beginning of a pass.
"""

import base64
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from .._data._iterable_source import BatchSource
from .._data._source import Source
from .._errors import CheckpointError
from .._saving._documents import decoded, encoded, stored_arrays
from .._sharding._exchange import exchanged
from .._sharding._processes import is_shared, processes_of
from .._sharding._strategy import Strategy
from .._types import Values

_PARTS = "processes"


def data_state(source: Source, strategy: Strategy | None) -> dict[str, Any]:
    """Return where the data is, in all processes, all of which call this."""
    state = source.state()
    if not isinstance(source, BatchSource) or not is_shared(strategy):
        return state
    arrays: dict[str, jax.Array | np.ndarray] = {}
    text = encoded(state, arrays)
    words = {name: base64.b64encode(np.ascontiguousarray(array).tobytes()).decode() for name, array in arrays.items()}
    return {_PARTS: [_decoded(*each) for each in exchanged(strategy, "a backup of the data", [text, words])]}


def own_state(state: Values, source: Source, strategy: Strategy | None, at_start: bool, directory: object) -> Values:
    """Return where the data of this process is, of what `data_state` returned.

    **Arguments:**

    - `at_start`: whether that was between two epochs.

    **Raises:** [`treegy.CheckpointError`][] if there were other processes then, and it matters.
    """
    if not isinstance(source, BatchSource) or not (_PARTS in state or "position" in state):
        return state
    then: list[Any] = state[_PARTS] if _PARTS in state else [state]
    processes = processes_of(strategy)
    if len(then) == len(processes):
        return then[processes.index(jax.process_index())] if is_shared(strategy) else then[0]
    were, are = (f"{n} process{'es' * (n > 1)}" for n in (len(then), len(processes)))
    if not at_start or source.continues:
        raise CheckpointError(
            f"The backup in '{directory}' was made in the middle of the data, of which {were} had parts, and now there "
            f"{'are' if len(processes) > 1 else 'is'} {are}: what gives batches resumes there with as many as before. "
            "At the end of an epoch the number doesn't matter, nor does it with arrays."
        )
    if source.is_one_shot:
        raise CheckpointError(
            f"The backup in '{directory}' was made by {were}, each with a part of the data, and now there "
            f"{'are' if len(processes) > 1 else 'is'} {are}: data that can be iterated over once only has other parts "
            "for them. Pass something that can be iterated over again."
        )
    fresh = {"position": 0, "given": 0, "order": None, "iterator": None, "waiting": [], "has_ended": False}
    return {**then[0], **fresh}


def _decoded(text: object, words: Mapping[str, str]) -> object:
    found = {
        each.name: np.frombuffer(base64.b64decode(words[each.name]), each.dtype).reshape(each.shape)
        for each in stored_arrays(text)
    }
    return decoded(text, found)
