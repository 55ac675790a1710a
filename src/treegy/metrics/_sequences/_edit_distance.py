"""`EditDistance`: how many ids must change."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Num

from ..._converters import flag
from ._tokens import OfTokens, Tokens, unless_unknown


def edits(true: Tokens, predicted: Tokens) -> Int[Array, "batch"]:
    """Return the fewest insertions, deletions and substitutions that make one sequence of another, `(batch,)`."""
    first = jax.lax.broadcasted_iota(jnp.int32, (len(true.ids), true.ids.shape[1] + 1), 1)

    def next_row(row: Array, ids: Array) -> tuple[Array, None]:
        # The costs of the prefixes of `true` against one more id of `predicted`.
        kept = row[:, :-1] + (true.ids != ids[:, None]).astype(jnp.int32)
        above = jnp.concatenate([row[:, :1] + 1, jnp.minimum(row[:, 1:] + 1, kept)], axis=1)
        # Along the row, each step costs 1: the least of all that lie before it, by a cumulative minimum.
        found = first + jax.lax.cummin(above - first, axis=1)
        return jnp.where((ids >= 0)[:, None], found, row), None

    last, _ = jax.lax.scan(next_row, first, predicted.ids.T)
    return jnp.take_along_axis(last, true.counts[:, None], axis=1)[:, 0]


class EditDistance(OfTokens):
    r"""How many ids must be inserted, deleted or substituted at least to make the predicted sequence the right one, the
    mean over sequences of the Levenshtein distance $E$. With `normalize`, of $E / \max(n, m)$ for lengths $n$ and $m$,
    from 0 to 1, and 0 of two empty sequences.

    **Accepts:** ids `y_true` `(batch, n)` and `y_pred` `(batch, m)`, integers, of lengths that may differ; or scores
    `y_pred` `(batch, m, ids)` of a floating dtype, of which the first largest stands for its id. Ids below 0 aren't
    there: so sequences are padded. A score that is NaN makes the value NaN.

    **Raises:** [`treegy.ContractError`][] where they are neither, or not of the same number of sequences.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        distance = tg.metrics.EditDistance(end_id=0)
        assert float(distance(jnp.array([[5, 6, 7, 0]]), jnp.array([[5, 7, 0, 9, 9]]))) == 1
        ```

    ??? cite

        Levenshtein, *Binary Codes Capable of Correcting Deletions, Insertions, and Reversals*, Soviet Physics Doklady
        10 (1966).
    """

    normalize: bool = eqx.field(default=False, kw_only=True, static=True, converter=flag("normalize"))
    """Whether it is divided by the length of the longer sequence."""

    def call(self, y_true: Num[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch"]:
        true, predicted = self._both(y_true, y_pred)
        found = unless_unknown(edits(true, predicted), true, predicted)
        longer = jnp.maximum(jnp.maximum(true.counts, predicted.counts), 1)
        return found / longer.astype(found.dtype) if self.normalize else found
