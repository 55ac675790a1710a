"""`SequenceAccuracy`: how many sequences are right from beginning to end."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from ._tokens import OfTokens, unless_unknown


class SequenceAccuracy(OfTokens):
    """The fraction of sequences that are predicted as a whole: of the same length, and of the same ids.

    **Accepts:** what [`treegy.metrics.EditDistance`][] does.

    **Raises:** [`treegy.ContractError`][] where they aren't sequences of ids, or not of the same number.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        accuracy = tg.metrics.SequenceAccuracy(end_id=0)
        y_true, y_pred = jnp.array([[5, 6, 0], [5, 7, 0]]), jnp.array([[5, 6, 0, 9], [5, 7, 7, 0]])
        assert float(accuracy(y_true, y_pred)) == 0.5
        ```
    """

    def call(self, y_true: Num[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch"]:
        true, predicted = self._both(y_true, y_pred)
        common = min(true.ids.shape[1], predicted.ids.shape[1])
        # What is beyond the shorter array is there only if the counts differ.
        same = jnp.all(true.ids[:, :common] == predicted.ids[:, :common], axis=1) & (true.counts == predicted.counts)
        return unless_unknown(same, true, predicted)
