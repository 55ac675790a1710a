"""How many of the negative labels were predicted."""

from typing import ClassVar

from ._ratio_of_counts import RatioOfCounts


class Specificity(RatioOfCounts):
    r"""How many of the negative labels were predicted, $TN / (TN + FP)$; `zero_division` where there are none.

    What it takes and raises is what [`treegy.metrics.Precision`][] does.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        specificity = tg.metrics.Specificity()
        assert float(specificity(jnp.array([0, 0, 1, 1]), jnp.array([1.0, 0.0, 1.0, 1.0]))) == 0.5
        ```
    """

    of: ClassVar[tuple[str, str]] = ("true_negatives", "false_positives")
