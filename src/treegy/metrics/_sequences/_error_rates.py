"""Error rates of recognized sequences: edits of all sequences by the lengths of all."""

import abc

import jax.numpy as jnp
from jaxtyping import Array, Int, Num

from ..._terms._accumulator import Mean
from ..._terms._weights import weigh
from ._edit_distance import edits
from ._tokens import OfTokens, Tokens, unless_unknown


class ErrorRate(OfTokens):
    """Edits of all sequences by some length of all."""

    @abc.abstractmethod
    def _lengths(self, true: Tokens, predicted: Tokens) -> Int[Array, "batch"]:
        """Return what the edits of each sequence are out of."""

    def call(
        self,
        y_true: Num[Array, "batch ..."],
        y_pred: Num[Array, "batch ..."],
        sample_weight: Num[Array, "batch"] | None = None,
    ) -> Mean:
        true, predicted = self._both(y_true, y_pred)
        wrong = unless_unknown(edits(true, predicted), true, predicted)
        lengths = self._lengths(true, predicted)
        total, count = (jnp.sum(weigh(each, sample_weight)[0]) for each in (wrong, lengths))
        return Mean(total, count)


class TokenErrorRate(ErrorRate):
    r"""The edits of all sequences by the lengths of all that are right, $\sum w E / \sum w n$ with the Levenshtein
    distances $E$: the word error rate where ids are words, the character error rate where they are characters. 0 is
    best, and it may be above 1. Without any right ids it is 0.

    **Accepts:** what [`treegy.metrics.EditDistance`][] does. With `blank_id`, `y_pred` are the steps of a model that is
    trained by [`treegy.losses.CTC`][], whose repetitions are merged.

    **Raises:** [`treegy.ContractError`][] where they aren't sequences of ids, or not of the same number.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        rate = tg.metrics.TokenErrorRate()
        some = rate(jnp.array([[1, 2, 3, 4]]), jnp.array([[1, 3, 4, -1]]))
        more = rate(jnp.array([[1, -1]]), jnp.array([[2, -1]]))
        assert abs(float(some.merge(more)) - 2 / 5) < 1e-6

        heard = tg.metrics.TokenErrorRate(blank_id=0)
        assert float(heard(jnp.array([[7, 7, 8]]), jnp.array([[7, 7, 0, 7, 8, 0]]))) == 0
        ```
    """

    def _lengths(self, true: Tokens, predicted: Tokens) -> Int[Array, "batch"]:
        return true.counts


class MatchErrorRate(ErrorRate):
    r"""The edits of all sequences by the lengths of the longer ones, $\sum w E / \sum w \max(n, m)$: from 0, the best,
    to 1. Of empty sequences it is 0.

    It is torchmetrics'. jiwer divides by the length of an alignment, which is longer where a deletion and an insertion
    do as well as two substitutions, and depends on which of these is chosen.

    **Accepts:** what [`treegy.metrics.EditDistance`][] does.

    **Raises:** [`treegy.ContractError`][] where they aren't sequences of ids, or not of the same number.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        rate = tg.metrics.MatchErrorRate()
        assert float(rate(jnp.array([[1, 2]]), jnp.array([[1, 5, 6, 7]]))) == 0.75
        ```

    ??? cite

        Morris, Maier and Green, *From WER and RIL to MER and WIL: Improved Evaluation Measures for Connected Speech
        Recognition*, Interspeech 2004.
    """

    def _lengths(self, true: Tokens, predicted: Tokens) -> Int[Array, "batch"]:
        return jnp.maximum(true.counts, predicted.counts)
