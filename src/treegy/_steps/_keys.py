"""The streams of random numbers, each folded with a constant of its own.

Training's stream is folded with the step, and the permutation of a pass has another one, in `_data/_shuffle.py`.
"""

import jax
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array

from ._states import States

# Of one step: for the module, and for losses and metrics.
_MODULE, _LOSS = 1, 2


def keys(states: States) -> tuple[Array | None, Array | None]:
    """Return the key for the module and the key for losses and metrics, if there is an `rng`."""
    rng = states.get("rng")
    if rng is None:
        return None, None
    return jax.random.fold_in(rng, _MODULE), jax.random.fold_in(rng, _LOSS)


# Besides training's, which is folded with the step itself: no step is as large.
TEST, PRED, INIT = np.uint32(0x80007E57), np.uint32(0x80009BED), np.uint32(0x80001217)


def of_step(states: States) -> States:
    """Return states whose key is that of the training step that they are about to make."""
    if states.get("rng") is None:
        return states
    return states.update(rng=jax.random.fold_in(states.rng, states.step))


def streamed(states: States, stream: np.uint32, index: ArrayLike) -> States:
    """Return states whose key is that of the `index`-th step of a stream."""
    if states.get("rng") is None:
        return states
    return states.update(rng=jax.random.fold_in(jax.random.fold_in(states.rng, stream), index))
