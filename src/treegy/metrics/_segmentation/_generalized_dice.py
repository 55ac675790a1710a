"""`GeneralizedDice`: how much regions overlap, small ones as important as large ones."""

from typing import Literal, TypeAlias

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Shaped

from ..._converters import OneOf
from ..._terms._accumulator import safe_divide
from ..._terms._weights import Masked
from ._regions import OfRegions, Overlaps, overlaps_of_examples

Weighting: TypeAlias = Literal["square", "simple", "linear"]


class GeneralizedDice(OfRegions):
    r"""How much regions overlap, small ones as important as large ones, the mean over examples of

    $$
    \frac{2 \sum_c w_c \lvert Y_c \cap \hat Y_c \rvert}{\sum_c w_c (\lvert Y_c \rvert + \lvert \hat Y_c \rvert)}
    $$

    with $w_c = 1 / \lvert Y_c \rvert^2$, or the weights that `weighting` names.

    A class that doesn't occur in an example has there the largest weight of those that do, as in MONAI; torchmetrics
    takes the largest that the class has in the batch, so that its value depends on how examples are cut into batches.
    Where none occurs, all weights are 1, and an example in which none is predicted either is left out.

    What `y_true` and `y_pred` are, and what is raised, is as in [`treegy.metrics.DiceScore`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        labels, found = jnp.array([[1, 1, 0, 0, 0, 0]]), jnp.array([[1, 0, 0, 0, 0, 0]])
        score = tg.metrics.GeneralizedDice(num_classes=2)(labels, found)
        assert abs(float(score) - 2 * (1 / 4 + 4 / 16) / (3 / 4 + 9 / 16)) < 1e-6
        ```

    ??? cite

        Sudre et al., *Generalised Dice Overlap as a Deep Learning Loss Function for Highly Unbalanced Segmentations*,
        DLMIA 2017.
    """

    weighting: Weighting = eqx.field(
        default="square",
        kw_only=True,
        static=True,
        converter=OneOf[Weighting]("weighting", "square", "simple", "linear"),
    )
    r"""`"square"` for $1 / \lvert Y_c \rvert^2$, `"simple"` for $1 / \lvert Y_c \rvert$, `"linear"` for 1, the names of
    torchmetrics."""

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Shaped[Array, "batch ..."]) -> Masked:
        found = Overlaps(*(self._kept(a) for a in overlaps_of_examples(self._indices(y_true, y_pred), None, None)))
        power = {"square": 2, "simple": 1, "linear": 0}[self.weighting]
        occurs = found.labels != 0
        weights = jnp.where(occurs, jnp.where(occurs, found.labels, 1) ** -float(power), 0)
        largest = jnp.max(weights, axis=-1, keepdims=True)
        weights = jnp.where(occurs, weights, jnp.where(largest == 0, 1, largest))
        sizes = jnp.sum(weights * (found.labels + found.predictions), axis=-1)
        return Masked(safe_divide(2 * jnp.sum(weights * found.both, axis=-1), sizes), sizes != 0)
