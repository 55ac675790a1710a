"""The supervised contrastive loss of labelled embeddings."""

from collections.abc import Mapping
from typing import ClassVar

import equinox as eqx
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from .._checks import check_number
from .._terms._loss import Loss
from .._terms._weights import Masked
from .._types import PyTree
from ._pairs import OF_PAIRS, log_sum_exp, similarities


def supervised_contrastive(
    y_true: Shaped[Array, "..."],
    y_pred: Num[Array, "..."],
    *,
    temperature: ArrayLike = 0.1,
    sample_weight: ArrayLike | None = None,
) -> Float[Array, "batch"]:
    r"""How unlikely those of the same label are, among all others of the batch. With the cosine similarities $s_{ij}$
    of the embeddings and the temperature $\tau$,

    $$
    -\frac{1}{|P_i|}\sum_{j \in P_i} \log \frac{e^{s_{ij} / \tau}}{\sum_{k \ne i} e^{s_{ik} / \tau}}
    $$

    where $P_i$ are the other examples that have the label of $i$. [`treegy.losses.ntxent`][] differs in the sum below,
    which is over one example of the same label and all of other labels.

    **Arguments:**

    - `y_true`: labels, integers `(batch,)`.
    - `y_pred`: embeddings `(batch, d)`; divided by their length, or by $10^{-7}$ where that is less.
    - `temperature`: $\tau > 0$.
    - `sample_weight`: `(batch,)`; an example of weight 0 is in no pair. The values aren't multiplied with it.

    **Returns:**

    One value per example `(batch,)`, 0 for those without a $P_i$; [`treegy.losses.SupervisedContrastive`][] leaves
    these out of the mean. They depend on the other examples of the batch, and so does their mean on how examples are
    cut into batches.

    **Raises:** [`treegy.ContractError`][] where the shapes aren't these, or `y_true` isn't of an integer dtype.

    ??? cite

        Khosla et al., *Supervised Contrastive Learning*, NeurIPS 2020: its $\mathcal{L}^{sup}_{out}$.
    """
    return _values(y_true, y_pred, temperature, sample_weight)[0]


def _values(
    y_true: Array, y_pred: Array, temperature: ArrayLike, sample_weight: ArrayLike | None
) -> tuple[Array, Array]:
    """Return the value of each example, and whether it has any."""
    of = similarities(y_true, y_pred, temperature, sample_weight)
    rest, _ = log_sum_exp(of.similar, of.positive | of.negative)
    return of.mean_over_positives(rest[:, None] - of.similar)


class SupervisedContrastive(Loss):
    r"""The contrastive loss of labels: [`treegy.losses.supervised_contrastive`][], of the examples that have a $P_i$.

    **Raises:** `ValueError` where `temperature` isn't positive.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.SupervisedContrastive(temperature=1.0)
        embeddings = jnp.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
        assert abs(loss(jnp.array([0, 0, 1, 1]), embeddings) - jnp.log(1 + 2 / jnp.e)) < 1e-6
        ```
    """

    temperature: ArrayLike = eqx.field(default=0.1, kw_only=True)
    """What the similarities are divided by."""

    exempt_from: ClassVar[Mapping[str, str]] = OF_PAIRS

    def __check_init__(self) -> None:
        check_number("temperature", self.temperature, lambda t: t > 0, "a positive number")

    def call(
        self,
        y_true: Shaped[Array, "batch ..."],
        y_pred: Num[Array, "batch ..."],
        sample_weight: PyTree = None,
    ) -> Masked:
        return Masked(*_values(y_true, y_pred, self.temperature, sample_weight))
