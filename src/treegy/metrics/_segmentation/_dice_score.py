"""`DiceScore`: how much the regions of classes overlap."""

import math
from typing import Literal, TypeAlias

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Num, Shaped

from ..._converters import OneOf, flag, integer
from ..._terms._accumulator import Accumulator, Mean
from ..._terms._weights import weigh
from .._accumulators._value_of import ValueOf
from .._classification._averages import as_zero_division, ratio
from .._classification._confusion_matrix import confusion_matrix
from ._regions import OfRegions, Overlaps, overlaps, overlaps_of_examples

Average: TypeAlias = Literal["micro", "macro"] | None


class DiceScore(OfRegions):
    r"""How much the regions of classes overlap, $2 \lvert Y_c \cap \hat Y_c \rvert / (\lvert Y_c \rvert +
    \lvert \hat Y_c \rvert)$: of each example, and the mean over these.

    With `by_example=False` it is that of the pixels of all examples together, which large regions dominate: by class it
    is the F1-score.

    `y_true` and `y_pred` come in one of these forms:

    - class indices `(batch, height, width)` and scores `(batch, height, width, classes)`, of which the first largest is
        predicted: probabilities and logits give the same. Classes first with `axis=1`, and any other axes of space;
    - one-hot labels and scores, both `(batch, height, width, classes)`, of a floating dtype;
    - class indices both, integers or booleans `(batch, height, width)`, with `num_classes`;
    - masks of 0 or 1, and probabilities of the same shape, with a `threshold`: two classes, of which 0 is left out by
        `include_background=False`.

    A class that neither occurs nor is predicted in an example is left out there, and an example is where all classes
    are, unless `zero_division` says otherwise; with `average=None`, a class that is nowhere has the value 0. A label or
    prediction that isn't a class makes the metric value NaN.

    `sample_weight` `(batch,)` weighs examples; of the shape of the class indices it weighs their pixels, and with
    `by_example` an example then counts, once, if any of its pixels does.

    **Raises:** `ValueError` where an option is unknown. [`treegy.ContractError`][] where the values have none of these
    forms, or `num_classes` is missing or isn't the number of scores.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        labels = jnp.array([[[1, 1], [0, 0]], [[2, 2], [0, 0]]])
        found = jnp.array([[[1, 0], [0, 0]], [[2, 2], [0, 0]]])
        dice = tg.metrics.DiceScore(num_classes=3, include_background=False)
        assert abs(float(dice(labels, found)) - (2 / 3 + 1) / 2) < 1e-6
        ```
    """

    average: Average = eqx.field(
        default="macro", kw_only=True, static=True, converter=OneOf[Average]("average", "micro", "macro", None)
    )
    """`"macro"` is the mean over classes; `"micro"` counts all classes together; `None` gives one value for each."""
    by_example: bool = eqx.field(default=True, kw_only=True, static=True, converter=flag("by_example"))
    """Whether it is the mean over examples, and not that of all pixels."""
    zero_division: float = eqx.field(default=math.nan, kw_only=True, static=True, converter=as_zero_division)
    """What the score is of a class that neither occurs nor is predicted: 0, 1, or NaN, which means leave out."""
    ignore_class: int | None = eqx.field(
        default=None, kw_only=True, static=True, converter=integer("ignore_class", "a label", optional=True)
    )
    """A label that says that there is none: such pixels don't count."""

    def call(
        self,
        y_true: Shaped[Array, "batch ..."],
        y_pred: Shaped[Array, "batch ..."],
        sample_weight: Num[Array, "batch ..."] | None = None,
    ) -> Accumulator:
        indices = self._indices(y_true, y_pred)
        if not self.by_example:
            matrix = confusion_matrix(
                indices,
                None if sample_weight is None else weigh(indices.y_true, sample_weight)[1],
                ignore_class=self.ignore_class,
                check_bounds=True,
            )
            return ValueOf(
                matrix,
                _of_matrix,
                average=self.average,
                zero_division=self.zero_division,
                background=self.include_background,
            )
        of_pixels = sample_weight is not None and sample_weight.ndim == indices.y_true.ndim > 1
        pixels = weigh(indices.y_true, sample_weight)[1] if of_pixels else None
        found = overlaps_of_examples(indices, pixels, self.ignore_class)
        found = Overlaps(*(self._kept(a) for a in found))
        values, there = _scores(found, self.average, self.zero_division)
        if of_pixels:
            sample_weight = jnp.any(jnp.asarray(sample_weight) != 0, axis=tuple(range(1, indices.y_true.ndim)))
        weighted, weights, _ = weigh(values, sample_weight, there)
        return Mean(jnp.sum(weighted, axis=0), jnp.sum(weights, axis=0))


def _scores(found: Overlaps, average: Average, zero_division: float) -> tuple[Array, Array]:
    """Return the score of each example, or of each of its classes, and whether it has any."""
    sizes = found.labels + found.predictions
    values = ratio(2 * found.both, sizes, found.labels, average, zero_division)
    # What is NaN isn't 0: it stays, and shows.
    some = sizes != 0
    there = some if average is None else jnp.any(some, axis=-1)
    return values, there | (not math.isnan(zero_division))


def _of_matrix(matrix: Array, average: Average, zero_division: float, background: bool) -> Array:
    found = overlaps(matrix)
    found = found if background else Overlaps(*(a[1:] for a in found))
    values, there = _scores(found, average, zero_division)
    # Of no examples at all a figure is 0.
    return jnp.where(there | jnp.any(jnp.isnan(matrix)), values, jnp.zeros_like(values))
