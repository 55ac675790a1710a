"""The streams of random numbers, each folded with a constant of its own.

Training's stream is folded with the step, and the permutation of a pass has another one, in `_data/_shuffle.py`.
"""

import jax
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array

from .._terms._part_of_batch import part_of_batch
from .._types import Length
from ._states import States

# Of one step: for the module, and for losses and metrics.
_MODULE, _LOSS = 1, 2


def keys(states: States) -> tuple[Array | None, Array | None]:
    """Return the key for the module and the key for losses and metrics, if there is an `rng`."""
    rng: Array | None = states.get("rng")
    part = part_of_batch()
    if part is not None and rng is part.rng:
        rng = part.whole_rng
    if rng is None:
        return None, None
    return jax.random.fold_in(rng, _MODULE), of_part(jax.random.fold_in(rng, _LOSS))


def of_part(key: Array) -> Array:
    """Return the key for what is drawn for a whole batch at once; for each of its parts another one."""
    part = part_of_batch()
    return key if part is None else jax.random.fold_in(key, part.positions[0])


def of_examples(key: Array, n: Length) -> Array:
    """Return the keys of `n` examples, which are the same where these are a part of a batch."""
    part = part_of_batch()
    if part is None or len(part.positions) != n:
        return jax.random.split(of_part(key), n)
    return jax.random.split(key, part.size)[part.positions]


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
