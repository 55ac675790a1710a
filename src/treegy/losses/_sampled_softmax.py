"""The softmax crossentropy over what was chosen and a sample of all the rest."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from .._terms._loss import Loss
from .._types import PyTree
from ._crossentropy import log_softmax
from ._positive_and_negatives import positive_and_negatives


def sampled_softmax(y_pred: PyTree) -> Float[Array, "..."]:
    r"""The crossentropy of finding what was chosen among a sample of what could have been,

    $$
    -\log \frac{e^{p - \log q}}{e^{p - \log q} + \sum_j e^{n_j - \log q_j}}
    $$

    where $q$ is how likely each is to be in the sample: without that correction, what is drawn often gets scores that
    are too low.

    **Arguments:**

    - `y_pred`: scores `(positive, negatives)`: $p$ of what was chosen, `(batch, ...)`, and $n$ of the sample,
        `(batch, ..., samples)`; or these and the logarithms of $q$ of the same shapes:
        `(positive, negatives, log_q_positive, log_q_negatives)`. A negative of $-\infty$ isn't there: so are those left
        out that happen to be what was chosen.

    **Returns:**

    One value per choice, `(batch, ...)`. In the dtype of the scores, at least float32. Nothing is averaged over
    examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where `y_pred` isn't two or four arrays of such shapes.

    ??? cite

        Jean et al., *On Using Very Large Target Vocabulary for Neural Machine Translation*, ACL 2015; Yi et al.,
        *Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations*, RecSys 2019.
    """
    positive, negatives = positive_and_negatives(y_pred, corrected=True)
    scores = jnp.concatenate([positive[..., None], negatives], axis=-1)
    return -log_softmax(scores, -1)[..., 0]


class SampledSoftmax(Loss):
    """The crossentropy over a sample: [`treegy.losses.sampled_softmax`][].

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.SampledSoftmax()
        chosen, sample = jnp.zeros(1), jnp.zeros((1, 3))
        assert abs(loss((chosen, sample)) - jnp.log(4)) < 1e-6
        # What is drawn half as often stands for twice as many.
        log_q = jnp.log(jnp.array([[1.0, 1.0, 0.5]]))
        assert abs(loss((chosen, sample, jnp.zeros(1), log_q)) - jnp.log(5)) < 1e-6
        ```
    """

    def call(self, y_pred: PyTree) -> Float[Array, "batch ..."]:
        return sampled_softmax(y_pred)
