"""`ChrF`: an F-score of n-grams."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from ..._converters import fixed_number, integer
from ..._terms._accumulator import safe_divide
from .._accumulators._value_of import ValueOf
from ._n_grams import n_grams, summed
from ._tokens import OfTokens, unless_unknown

_as_beta = fixed_number("beta", "a positive number", lambda b: 0 < b < float("inf"))


class ChrF(OfTokens):
    r"""The F-score of n-grams of all sequences, $(1 + \beta^2) P R / (\beta^2 P + R)$.

    $P$ and $R$ are the means over $k = 1, \dots, n$ of $m_k / t_k$ and $m_k / s_k$, with the sums over all sequences:
    $t_k$ of predicted k-grams, $s_k$ of right ones, and $m_k$ of those in common. Predicted k-grams don't count where
    the right sequence is too short to have any, and orders without k-grams of either are left out of both means. From 0
    to 1, the best; 0 without any in common. sacreBLEU's chrF where ids are characters without the spaces, of one right
    sequence for each predicted one.

    **Accepts:** what [`treegy.metrics.EditDistance`][] does.

    **Raises:** `ValueError` where `n` is less than 1, or `beta` isn't positive. [`treegy.ContractError`][] where they
    aren't sequences of ids, or not of the same number.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        batch = tg.metrics.ChrF(n=1, beta=1.0)(jnp.array([[1, 2, 3, 4]]), jnp.array([[1, 2, 9, -1]]))
        assert abs(float(batch) - 4 / 7) < 1e-6
        ```

    ??? cite

        Popović, *chrF: Character n-gram F-score for Automatic MT Evaluation*, WMT 2015.
    """

    n: int = eqx.field(
        default=6, kw_only=True, static=True, converter=integer("n", "how many ids n-grams have at most", least=1)
    )
    """How many ids n-grams have at most."""
    beta: float = eqx.field(default=2.0, kw_only=True, static=True, converter=_as_beta)
    r"""How much more recall counts than precision."""

    def call(
        self,
        y_true: Num[Array, "batch ..."],
        y_pred: Num[Array, "batch ..."],
        sample_weight: Num[Array, "batch"] | None = None,
    ) -> ValueOf:
        true, predicted = self._both(y_true, y_pred)
        counts = n_grams(true, predicted, self.n)
        statistics = jnp.concatenate(
            [counts.matches, jnp.where(counts.true > 0, counts.predicted, 0), counts.true], axis=1
        )
        sums = summed(unless_unknown(statistics, true, predicted), sample_weight)
        return ValueOf(sums, _chrf, n=self.n, beta=self.beta)


def _chrf(sums: Float[Array, "k"], n: int, beta: float) -> Float[Array, ""]:
    matches, predicted, true = sums.reshape(3, n)
    some = (predicted > 0) & (true > 0)
    orders = jnp.sum(some).astype(sums.dtype)
    precision, recall = (
        safe_divide(jnp.sum(jnp.where(some, safe_divide(matches, each), 0)), orders) for each in (predicted, true)
    )
    value = safe_divide((1 + beta**2) * precision * recall, beta**2 * precision + recall)
    return jnp.where(jnp.any(jnp.isnan(sums)), jnp.nan, value)
