"""Metrics that are the mean of a loss over the examples.

Long, since there are thirteen, each with an example.
"""

from typing import ClassVar

import equinox as eqx
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from .._converters import flag, integer
from .._terms._classes import without_class
from .._terms._metric import Metric
from .._terms._weights import Masked
from ..losses._binary_crossentropy import binary_crossentropy
from ..losses._categorical_crossentropy import categorical_crossentropy
from ..losses._categorical_hinge import categorical_hinge
from ..losses._crossentropy import check_label_smoothing
from ..losses._hinge import hinge, squared_hinge
from ..losses._kl_divergence import kl_divergence
from ..losses._log_cosh import log_cosh
from ..losses._mean_absolute_error import mean_absolute_error
from ..losses._mean_absolute_percentage_error import mean_absolute_percentage_error
from ..losses._mean_squared_error import mean_squared_error
from ..losses._mean_squared_logarithmic_error import mean_squared_logarithmic_error
from ..losses._poisson import poisson
from ..losses._sparse_categorical_crossentropy import sparse_categorical_crossentropy


class MeanAbsoluteError(Metric):
    """The mean of [`treegy.losses.mean_absolute_error`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        error = tg.metrics.MeanAbsoluteError()
        assert float(error(jnp.array([1.0, 1.0]), jnp.array([1.0, 3.0]))) == 1
        ```
    """

    elementwise: ClassVar[bool] = True

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return mean_absolute_error(y_true, y_pred)


class MeanAbsolutePercentageError(Metric):
    """The mean of [`treegy.losses.mean_absolute_percentage_error`][], in percent.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        error = tg.metrics.MeanAbsolutePercentageError()
        assert float(error(jnp.array([2.0, 4.0]), jnp.array([1.0, 5.0]))) == 37.5
        ```
    """

    elementwise: ClassVar[bool] = True

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return mean_absolute_percentage_error(y_true, y_pred)


class MeanSquaredError(Metric):
    """The mean of [`treegy.losses.mean_squared_error`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        error = tg.metrics.MeanSquaredError()
        assert float(error(jnp.array([1.0, 1.0]), jnp.array([1.0, 3.0]))) == 2
        ```
    """

    elementwise: ClassVar[bool] = True

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return mean_squared_error(y_true, y_pred)


class MeanSquaredLogarithmicError(Metric):
    """The mean of [`treegy.losses.mean_squared_logarithmic_error`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        error = tg.metrics.MeanSquaredLogarithmicError()
        assert abs(float(error(jnp.array([1.0]), jnp.array([jnp.e * 2 - 1]))) - 1) < 1e-6
        ```
    """

    predictions: ClassVar[str | None] = "rates"
    elementwise: ClassVar[bool] = True

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return mean_squared_logarithmic_error(y_true, y_pred)


class LogCoshError(Metric):
    """The mean of [`treegy.losses.log_cosh`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        error = tg.metrics.LogCoshError()
        assert abs(float(error(jnp.array([0.0, 0.0]), jnp.array([0.0, 1.0]))) - 0.21689) < 1e-5
        ```
    """

    elementwise: ClassVar[bool] = True

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return log_cosh(y_true, y_pred)


class Poisson(Metric):
    """The mean of [`treegy.losses.poisson`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        metric = tg.metrics.Poisson()
        assert abs(float(metric(jnp.array([0, 3]), jnp.array([1.0, 1.0]))) - 1) < 1e-6
        ```
    """

    predictions: ClassVar[str | None] = "rates"
    elementwise: ClassVar[bool] = True

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return poisson(y_true, y_pred)


class KLDivergence(Metric):
    """The mean of [`treegy.losses.kl_divergence`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        divergence = tg.metrics.KLDivergence()
        assert abs(float(divergence(jnp.array([[0.5, 0.5]]), jnp.array([[0.25, 0.75]]))) - 0.1438) < 1e-4
        ```
    """

    predictions: ClassVar[str | None] = "distributions"

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return kl_divergence(y_true, y_pred)


class Hinge(Metric):
    """The mean of [`treegy.losses.hinge`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        metric = tg.metrics.Hinge()
        assert float(metric(jnp.array([1, -1]), jnp.array([3.0, -0.5]))) == 0.25
        ```
    """

    predictions: ClassVar[str | None] = "margins"
    elementwise: ClassVar[bool] = True

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return hinge(y_true, y_pred)


class SquaredHinge(Metric):
    """The mean of [`treegy.losses.squared_hinge`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        metric = tg.metrics.SquaredHinge()
        assert float(metric(jnp.array([1, -1]), jnp.array([3.0, 1.0]))) == 2
        ```
    """

    predictions: ClassVar[str | None] = "margins"
    elementwise: ClassVar[bool] = True

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return squared_hinge(y_true, y_pred)


class CategoricalHinge(Metric):
    """The mean of [`treegy.losses.categorical_hinge`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        metric = tg.metrics.CategoricalHinge()
        assert float(metric(jnp.array([[0, 1], [1, 0]]), jnp.array([[0.5, 1.0], [3.0, 1.0]]))) == 0.25
        ```
    """

    predictions: ClassVar[str | None] = "scores"

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return categorical_hinge(y_true, y_pred)


class BinaryCrossentropy(Metric):
    """The mean of [`treegy.losses.binary_crossentropy`][].

    **Raises:** `ValueError` where `label_smoothing` isn't from 0 to 1.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        crossentropy = tg.metrics.BinaryCrossentropy()
        batch = crossentropy(jnp.array([[0, 1], [0, 0]]), jnp.array([[0.6, 0.4], [0.4, 0.6]]))
        assert abs(float(batch) - 0.815) < 1e-3
        ```
    """

    predictions: ClassVar[str | None] = "probabilities"
    elementwise: ClassVar[bool] = True

    from_logits: bool = eqx.field(default=False, kw_only=True, static=True, converter=flag("from_logits"))
    """Whether `y_pred` holds logits instead of probabilities."""
    label_smoothing: ArrayLike = eqx.field(default=0.0, kw_only=True)
    """How far labels are drawn towards one half, from 0 to 1."""

    def __check_init__(self) -> None:
        check_label_smoothing(self.label_smoothing)

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return binary_crossentropy(y_true, y_pred, from_logits=self.from_logits, label_smoothing=self.label_smoothing)


class CategoricalCrossentropy(Metric):
    """The mean of [`treegy.losses.categorical_crossentropy`][].

    **Raises:** `ValueError` where `label_smoothing` isn't from 0 to 1.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        crossentropy = tg.metrics.CategoricalCrossentropy()
        batch = crossentropy(jnp.array([[0, 1, 0], [0, 0, 1]]), jnp.array([[0.05, 0.95, 0.0], [0.1, 0.8, 0.1]]))
        assert abs(float(batch) - 1.177) < 1e-3
        ```
    """

    predictions: ClassVar[str | None] = "distributions"

    from_logits: bool = eqx.field(default=False, kw_only=True, static=True, converter=flag("from_logits"))
    """Whether `y_pred` holds logits instead of probabilities."""
    label_smoothing: ArrayLike = eqx.field(default=0.0, kw_only=True)
    """How far labels are drawn towards the uniform distribution, from 0 to 1."""
    axis: int = eqx.field(default=-1, kw_only=True, static=True, converter=integer("axis", "an axis"))
    """The axis of classes."""

    def __check_init__(self) -> None:
        check_label_smoothing(self.label_smoothing)

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return categorical_crossentropy(
            y_true, y_pred, from_logits=self.from_logits, label_smoothing=self.label_smoothing, axis=self.axis
        )


class SparseCategoricalCrossentropy(Metric):
    """The mean of [`treegy.losses.sparse_categorical_crossentropy`][].

    With `ignore_class`, its values count neither in the numerator nor in the denominator of the mean.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        crossentropy = tg.metrics.SparseCategoricalCrossentropy(ignore_class=-1)
        y_pred = jnp.array([[0.05, 0.95, 0.0], [0.1, 0.8, 0.1], [0.2, 0.4, 0.4]])
        assert abs(float(crossentropy(jnp.array([1, 2, -1]), y_pred)) - 1.177) < 1e-3
        ```
    """

    predictions: ClassVar[str | None] = "distributions"

    from_logits: bool = eqx.field(default=False, kw_only=True, static=True, converter=flag("from_logits"))
    """Whether `y_pred` holds logits instead of probabilities."""
    ignore_class: int | None = eqx.field(
        default=None, kw_only=True, static=True, converter=integer("ignore_class", "a label", optional=True)
    )
    """A label that says that there is none: such values don't count."""
    check_bounds: bool = eqx.field(default=True, kw_only=True, static=True, converter=flag("check_bounds"))
    """Whether any other label out of range makes the value NaN, and not 0."""

    def call(
        self, y_true: Shaped[Array, "batch ..."], y_pred: Float[Array, "batch ..."]
    ) -> Float[Array, "batch ..."] | Masked:
        values = sparse_categorical_crossentropy(
            y_true,
            y_pred,
            from_logits=self.from_logits,
            ignore_class=self.ignore_class,
            check_bounds=self.check_bounds,
        )
        return without_class(values, y_true, y_pred, self.ignore_class)
