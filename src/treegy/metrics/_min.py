"""The smallest of any value."""

from typing import ClassVar

from ._extremum import ExtremeValue


class Min(ExtremeValue):
    r"""The smallest value of all examples and axes whose weight isn't 0, $\min_i v_i$; $\infty$ where there is none.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        smallest = tg.metrics.Min()
        some, more = smallest(jnp.array([3.0, 5.0])), smallest(jnp.array([1.0, 7.0]))
        assert float(some.merge(more)) == 1
        ```
    """

    largest: ClassVar[bool] = False
