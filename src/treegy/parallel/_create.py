"""`create`: a model that is distributed from the start."""

from collections.abc import Callable
from typing import TypeVar

import equinox as eqx
import jax

from .._describe import describe
from .._model._model import Model
from .._sharding._strategy import Strategy
from .._steps._assembly import rebuilt
from .._steps._homes import of_structure

M = TypeVar("M", bound=Model)


def create(make: Callable[[], M], strategy: Strategy) -> M:
    """Return a model that is distributed from the start: no device ever holds the whole of it.

    **Arguments:**

    - `make`: a function that makes the model. It is traced, and its arrays are computed where they are to be.
    - `strategy`: as in [`treegy.Model.distributed`][].

    **Raises:** `TypeError` if `make` returns something else.

    !!! example

        ```python
        import equinox as eqx
        import jax
        import optax
        import treegy as tg

        def make():
            return tg.Model(
                eqx.nn.MLP(256, 10, 256, 2, key=jax.random.key(0)),
                loss=tg.losses.SparseCategoricalCrossentropy(from_logits=True),
                optimizer=optax.adam(1e-3),
            )

        model = tg.parallel.create(make, tg.parallel.FSDP())
        ```
    """
    shapes = eqx.filter_eval_shape(make)
    if not isinstance(shapes, Model):
        raise TypeError(f"`make` returned {describe(shapes)}; a `tg.Model` is expected.")
    shapes = rebuilt(shapes, {"strategy": strategy})
    structs, rest = eqx.partition(shapes, lambda leaf: isinstance(leaf, jax.ShapeDtypeStruct))
    leaves, structure = jax.tree.flatten(of_structure(shapes).shardings(structs))
    made = jax.jit(lambda: jax.tree.leaves(eqx.filter(make(), eqx.is_array)), out_shardings=leaves)()
    return eqx.combine(jax.tree.unflatten(structure, made), rest)
