"""How many of the positive labels were predicted."""

from typing import ClassVar

from ._ratio_of_counts import RatioOfCounts


class Recall(RatioOfCounts):
    r"""How many of the positive labels were predicted, $TP / (TP + FN)$; `zero_division` where there are none.

    What it takes and raises is what [`treegy.metrics.Precision`][] does.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        recall = tg.metrics.Recall()
        assert abs(float(recall(jnp.array([0, 1, 1, 1]), jnp.array([1.0, 0.0, 1.0, 1.0]))) - 2 / 3) < 1e-6
        ```
    """

    of: ClassVar[tuple[str, str]] = ("true_positives", "false_negatives")
