"""The largest of any value."""

from typing import ClassVar

from ._extremum import ExtremeValue


class Max(ExtremeValue):
    r"""The largest value of all examples and axes whose weight isn't 0, $\max_i v_i$; $-\infty$ where there is none.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        largest = tg.metrics.Max()
        some, more = largest(jnp.array([3.0, 5.0])), largest(jnp.array([1.0, 7.0]))
        assert float(some.merge(more)) == 7
        ```
    """

    largest: ClassVar[bool] = True
