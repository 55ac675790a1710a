"""`SurvivalBrierScore`: how far predicted probabilities of survival are from what happened."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Num, Shaped

from ..._describe import array_name
from ..._errors import ContractError
from ..._terms._accumulator import Mean, safe_divide
from ..._terms._weights import weigh
from ...losses._survival import survival
from ._censoring import AtTimes


class SurvivalBrierScore(AtTimes):
    r"""How far predicted probabilities $\hat S(t)$ of surviving some `times` are from what happened, the mean over
    examples of

    $$
    \hat S_i(t)^2 \frac{[t_i \le t, \text{it happened}]}{G(t_i)} + (1 - \hat S_i(t))^2 \frac{[t_i > t]}{G(t)}
    $$

    where $G$ is how likely it is that something isn't censored yet. Of several times it is the integral from the first
    to the last of them by trapezes, divided by that span: the integrated Brier score. 0.25 is what predictions of 1/2
    have of uncensored data.

    A mean of values of examples: exact for any weights and any batching, as `censoring` is fitted once, on the data of
    training. Where it is 0, so is the weight, as in scikit-survival; where it isn't known, after the last time of that
    data, the value is NaN.

    **Accepts:** `y_true` `(batch, 2)`: the time, and 1 if it happened then, or 0 if it hadn't happened until then;
    probabilities `y_pred` `(batch, times)`. A second column that is neither 0 nor 1 makes it NaN.

    **Raises:** `TypeError` or `ValueError` where `times` don't increase, or `censoring` isn't a
    [`treegy.metrics.Censoring`][]. [`treegy.ContractError`][] where the shapes aren't these.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        y_true = jnp.array([[1.0, 1], [3.0, 1]])
        score = tg.metrics.SurvivalBrierScore(2.0, censoring=tg.metrics.Censoring(y_true))
        assert abs(float(score(y_true, jnp.array([[0.1], [0.8]]))) - (0.1**2 + 0.2**2) / 2) < 1e-6
        ```

    ??? cite

        Graf et al., *Assessment and Comparison of Prognostic Classification Schemes for Survival Data*, Statistics in
        Medicine 18 (1999).
    """

    def call(
        self,
        y_true: Shaped[Array, "batch ..."],
        y_pred: Num[Array, "batch ..."],
        sample_weight: Num[Array, "batch"] | None = None,
    ) -> Mean:
        it = survival(y_true, y_pred, 2, "a probability for each of the times, (batch, times)")
        if it.predicted.shape[1] != len(self.times):
            raise ContractError(
                f"`y_pred` {array_name(y_pred)} must hold a probability for each of the {len(self.times)} times, "
                f"(batch, {len(self.times)})."
            )
        dtype = it.predicted.dtype
        times = jnp.asarray(self.times, dtype)
        before = it.time[:, None] <= times[None]
        happened, of_time, of_example = before & it.event[:, None], self.censoring(times), self.censoring(it.time)
        # What isn't known may not be needed.
        seen = jnp.where(happened, of_example[:, None], jnp.where(before, 1, of_time[None])).astype(dtype)
        errors = jnp.where(happened, it.predicted, jnp.where(before, 0, 1 - it.predicted))
        values = jnp.where(it.unknown[:, None], jnp.nan, safe_divide(errors**2, seen))
        if not self.by_time:
            values = jnp.sum(values * jnp.asarray(_shares(self.times), dtype)[None], axis=1)
        weighted, weights, _ = weigh(values, sample_weight)
        return Mean(jnp.sum(weighted, axis=0), jnp.sum(weights, axis=0))


def _shares(times: tuple[float, ...]) -> np.ndarray:
    """Return by how much the value at each time counts in the integral."""
    steps = np.diff(times) / (times[-1] - times[0]) if len(times) > 1 else np.ones(0)
    return np.ones(1) if len(times) == 1 else (np.append(steps, 0) + np.append(0, steps)) / 2
