"""`BLEU`: how many n-grams of predicted sequences are those of the right ones."""

from typing import Literal, TypeAlias

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from ..._converters import OneOf, integer
from ..._terms._accumulator import safe_divide
from .._accumulators._value_of import ValueOf
from ._n_grams import n_grams, summed
from ._tokens import OfTokens, unless_unknown

Smoothing: TypeAlias = Literal["add-one", "exponential"] | None

_as_smoothing = OneOf[Smoothing]("smoothing", "add-one", "exponential", None)


class BLEU(OfTokens):
    r"""How many n-grams of all predicted sequences are those of the right ones, times a penalty for being too short:

    $$
    \exp\Big(\min\big(1 - \tfrac{r}{c}, 0\big)\Big) \Big(\prod_{k = 1}^n \frac{m_k}{t_k}\Big)^{1 / n}
    $$

    with the sums over all sequences: $t_k$ of predicted k-grams, $m_k$ of those that are in the right sequence too,
    each as often as there at most, and $c$ and $r$ of the ids predicted and right. From 0 to 1, the best; 0 where one
    of these is 0. It is that of the corpus, whatever its batches, and not the mean of values of sequences.

    **Accepts:** what [`treegy.metrics.EditDistance`][] does: one right sequence for each predicted one.

    **Raises:** `ValueError` where `n` is less than 1, or `smoothing` is unknown. [`treegy.ContractError`][] where they
    aren't sequences of ids, or not of the same number.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        bleu = tg.metrics.BLEU(n=2)
        batch = bleu(jnp.array([[1, 2, 3, 4, 5]]), jnp.array([[1, 2, 3, 9, 5]]))
        assert abs(float(batch) - (4 / 5 * 2 / 4) ** 0.5) < 1e-6
        ```

    ??? cite

        Papineni et al., *BLEU: a Method for Automatic Evaluation of Machine Translation*, ACL 2002.
    """

    n: int = eqx.field(
        default=4, kw_only=True, static=True, converter=integer("n", "how many ids n-grams have at most", least=1)
    )
    """How many ids n-grams have at most."""
    smoothing: Smoothing = eqx.field(default=None, kw_only=True, static=True, converter=_as_smoothing)
    r"""What is done about few matches: nothing by default; `"exponential"` counts the first $m_k$ that is 0 as $1/2$,
    the second as $1/4$ and so on, as sacreBLEU does; `"add-one"` adds 1 to $m_k$ and $t_k$ for $k > 1$."""

    def call(
        self,
        y_true: Num[Array, "batch ..."],
        y_pred: Num[Array, "batch ..."],
        sample_weight: Num[Array, "batch"] | None = None,
    ) -> ValueOf:
        true, predicted = self._both(y_true, y_pred)
        counts = n_grams(true, predicted, self.n)
        statistics = jnp.concatenate([counts.matches, counts.predicted, true.counts[:, None]], axis=1)
        sums = summed(unless_unknown(statistics, true, predicted), sample_weight)
        return ValueOf(sums, _bleu, n=self.n, smoothing=self.smoothing)


def _bleu(sums: Float[Array, "k"], n: int, smoothing: Smoothing) -> Float[Array, ""]:
    matches, totals, right = sums[:n], sums[n : 2 * n], sums[-1]
    length = totals[0]
    if smoothing == "add-one":
        more = jnp.asarray([0.0] + [1.0] * (n - 1), sums.dtype)
        matches, totals = matches + more, totals + more
    elif smoothing == "exponential":
        none = matches == 0
        matches = jnp.where(none, 0.5 ** jnp.cumsum(none).astype(sums.dtype), matches)
    some = jnp.all(totals > 0) & jnp.all(matches > 0)
    logs = jnp.log(jnp.where(matches > 0, safe_divide(matches, totals), 1))
    penalty = jnp.minimum(1 - safe_divide(right, length), 0)
    value = jnp.where(some, jnp.exp(jnp.mean(logs) + penalty), 0)
    return jnp.where(jnp.any(jnp.isnan(sums)), jnp.nan, value)
