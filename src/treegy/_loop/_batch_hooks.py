"""The hooks of every batch.

To stop after each step for them would cost more than a small step takes. So several steps are run in one go, with the
metric values after each, and then the hooks are called for one step after the other, as if it had just been made. A
hook that asks for the model gets that of its step: the steps are run again from where they began to there. Those after
it have not been made, since the hook may have replaced the model, and may ask for the next one, too.
"""

from collections.abc import Callable, Mapping
from typing import Any

from .._data._chunk import Batches
from ._engine import Engine


def steps_with_hooks(
    engine: Engine,
    data: Batches,
    first: int,
    n: int,
    begin: Callable[[], None],
    end: Callable[[Mapping[str, Any]], None],
    is_over: Callable[[], bool],
) -> int:
    """Run up to `n` steps, and call `begin` and `end` for each as if it were made between the two.

    **Arguments:**

    - `data`, `first`: batches, and which of them is the first.
    - `end`: is given the metric values after the step.
    - `is_over`: whether no step may follow, asked after each.

    **Returns:**

    How many steps were made.
    """
    engine.looked_at = False
    if n == 1:
        begin()
        end(engine.run_one(data, first))
        return 1
    values = engine.run_ahead(data, first, n)
    for i in range(n):
        begin()
        # Who looked at the model before this step has it made now, from what the model is now.
        found = engine.run_one(data, first + i) if engine.looked_at else values[i]
        engine.hooks_are_at(i + 1)
        end(found)
        if engine.looked_at or is_over():
            engine.drop_what_is_ahead()
            return i + 1
    return n
