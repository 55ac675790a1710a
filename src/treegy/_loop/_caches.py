"""What is remembered of models that were compiled, and letting go of it."""

from typing import Any

from .. import _spread
from .._sharding import _processes
from .._steps import _evaluated, _homes, _prepare, _single_steps
from ..optimizers import _nodes
from . import _chunk_program, _metric_values, _rescue, _retrace, _traced_step
from ._kinds import PREDICT, TEST, TRAIN
from ._stack_kinds import OF_STACKS


def clear_caches() -> None:
    """Let go of all that treegy remembers of models that were trained, evaluated or asked for predictions.

    Programs are kept so that the next model of the same structure compiles nothing. What isn't an array in a model,
    such as a loss and what it captures, is kept alive by that. JAX keeps programs, too: `jax.clear_caches()` lets go
    of those.

    !!! example

        ```python
        import jax
        import treegy as tg

        tg.clear_caches()
        jax.clear_caches()
        ```
    """
    remembered: list[Any] = [_traced_step.known, _chunk_program.program, _single_steps.program]
    remembered += [_prepare.known_nothing, _evaluated.ask_for_states, _nodes.there_are, _homes.known_homes]
    remembered += [_spread.moved, _processes.rows_of_processes]
    for cached in remembered:
        cached.cache_clear()
    kinds = [TRAIN, TEST, PREDICT, *OF_STACKS.values()]
    compiled: list[Any] = [*(kind.step.run for kind in kinds), _prepare.init_of, _metric_values.computed]
    for jitted in compiled:
        jitted.clear_cache()
    _retrace.forget()
    _rescue.forget()
