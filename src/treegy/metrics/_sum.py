"""The sum of any value."""

from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx

from .._accumulator import Masked
from .._accumulator import Sum as Summed
from .._describe import describe, is_arraylike
from .._errors import ContractError
from .._inject import request
from .._term import OF_EXAMPLES
from ._metric import Metric
from ._of import Of, asking, asking_weights_too, check_of


class Sum(Metric):
    r"""The sum of any value over all examples and axes, $\sum_i w_i v_i$.

    **Raises:** `ValueError` where `of` asks for none of `x`, `y_true`, `y_pred` and `sample_weight`: how often such
    a value were added would depend on how the examples are cut into batches.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        total = tg.metrics.Sum()
        assert float(total(jnp.array([1.0, 3.0, 5.0, 7.0]))) == 16
        assert float(total(jnp.array([1.0, 3.0, 5.0, 7.0]), sample_weight=jnp.array([1.0, 1.0, 0.0, 0.0]))) == 4
        ```
    """

    # Static, since neither a name nor a function is a number.
    of: Of = eqx.field(default="y_pred", static=True)
    """The name of a value, or a function that asks for values by name and returns one value per example."""

    def __check_init__(self) -> None:
        check_of(self.of)
        wanted = request(asking(self.of, "Sum"))
        if not any(name in wanted for name in (*OF_EXAMPLES, "sample_weight")):
            raise ValueError(
                f"`of` asks for {', '.join(wanted.names) or 'nothing'}, and a sum over examples needs one of "
                f"{', '.join(OF_EXAMPLES)} or sample_weight."
            )

    def call(self, values: Any, sample_weight: Any = None) -> Any:
        """The sum of the values; a dict of them for a dict of values."""
        if isinstance(values, Mapping):
            return {k: self.call(v, sample_weight) for k, v in values.items()}
        if isinstance(values, Masked):
            return Summed.of(values.values, sample_weight, values.mask)
        if not (is_arraylike(values) or isinstance(values, bool | int | float)):
            raise ContractError(f"`of` returned {describe(values)}, and values per example (an array) are expected.")
        return Summed.of(values, sample_weight)

    def _function(self) -> Callable[..., Any]:
        wanted = request(asking(self.of, "Sum"))
        # The sum of the weights themselves isn't weighted once more.
        weighted = any(name in wanted for name in OF_EXAMPLES)
        return asking_weights_too(
            self.of, "Sum", lambda values, weight: self.call(values, weight if weighted else None)
        )
