"""How many of the positive predictions are right."""

from typing import ClassVar

from ._ratio_of_counts import RatioOfCounts


class Precision(RatioOfCounts):
    r"""How many of the positive predictions are right, $TP / (TP + FP)$; `zero_division` where there are none.

    `y_true` is 0 or 1 (or boolean) and of the shape of `y_pred`, `(batch, ...)`; what is above the threshold is
    predicted as 1. Integer `y_true` `(batch, ...)` with scores `(batch, ..., classes)` of several classes holds class
    indices, and counts as the one-hot labels do. Counts are weighted, and exact however long the epoch. A label that is
    neither 0 nor 1, a class index that isn't from 0 to `classes` - 1, or a prediction that is NaN, makes the value NaN.

    **Raises:** `ValueError` where a threshold isn't from 0 to 1, where `top_k` is less than 1, or where `average` or
    `zero_division` is unknown. [`treegy.ContractError`][] where the shapes of `y_true` and `y_pred` differ, or where
    they have no class `class_id` or fewer than `top_k`.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        precision = tg.metrics.Precision()
        assert abs(float(precision(jnp.array([0, 1, 1, 1]), jnp.array([1.0, 0.0, 1.0, 1.0]))) - 2 / 3) < 1e-6
        ```
    """

    of: ClassVar[tuple[str, str]] = ("true_positives", "false_positives")
