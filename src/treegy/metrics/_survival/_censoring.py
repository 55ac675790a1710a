"""`Censoring`: how likely it is that something is still seen at a time."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num
from numpy.typing import ArrayLike

from ..._converters import flag
from ..._describe import array_name, describe
from ..._errors import ContractError
from ..._terms._metric import Metric


class Censoring(eqx.Module):
    r"""How likely it is that something is still seen at a time: Kaplan and Meier's estimate $G(t)$ of the distribution
    of censoring, by which metrics weigh what they see.

    Fit it once, on the data of training. Of equal times, what happens is before what is censored. It is that of
    scikit-survival, in which metrics take `survival_train`.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        censoring = tg.metrics.Censoring(jnp.array([[1.0, 1], [2.0, 0], [3.0, 1], [4.0, 0]]))
        assert censoring(jnp.array([1.0, 2.0, 3.5])).tolist() == [1, jnp.float32(2 / 3), jnp.float32(2 / 3)]
        ```

    ??? cite

        Kaplan and Meier, *Nonparametric Estimation from Incomplete Observations*, Journal of the American Statistical
        Association 53 (1958).
    """

    time: Float[Array, "n"]
    probability: Float[Array, "n"]
    """$G$ from each of the times on."""

    def __init__(self, y_true: ArrayLike):
        """**Arguments:**

        - `y_true`: `(n, 2)`: times, and 1 if it happened then, or 0 if it hadn't happened until then. Known numbers:
            it is computed outside of what is traced.

        **Raises:** [`treegy.ContractError`][] where it is of another shape. `ValueError` where the second column isn't
        0 or 1, or a time is NaN.
        """
        labels = np.asarray(y_true)
        if labels.ndim != 2 or labels.shape[1] != 2 or len(labels) == 0:
            raise ContractError(
                f"`y_true` {array_name(labels)} must hold two columns, (n, 2): the time, and 1 if it happened then or "
                "0 if not yet."
            )
        time, event = labels.astype("float32").T
        if np.any(np.isnan(time)) or not np.all((event == 0) | (event == 1)):
            raise ValueError("`y_true` holds times, and 0 or 1, and got NaN or another number.")
        order = np.lexsort((event == 0, time))
        at_risk = np.arange(len(time), 0, -1, dtype="float64")
        factors = np.where(event[order] == 0, (at_risk - 1) / at_risk, 1)
        self.time = jnp.asarray(time[order])
        self.probability = jnp.asarray(np.cumprod(factors), jnp.float32)

    def __call__(self, time: Num[Array, "..."]) -> Float[Array, "..."]:
        """Return $G$ at times of any shape; NaN after the last known one, unless it is 0 from there on."""
        time = jnp.asarray(time)
        time = time.astype(self.time.dtype)
        # From the last of equal times on.
        known = jnp.concatenate([jnp.ones_like(self.probability[:1]), self.probability])
        found = known[jnp.searchsorted(self.time, time, side="right")]
        return jnp.where((time > self.time[-1]) & (self.probability[-1] > 0), jnp.nan, found)


def _as_times(times: Any) -> Any:
    """Return increasing times as a tuple."""
    several = times.tolist() if hasattr(times, "tolist") else times
    several = several if isinstance(several, list | tuple) else (several,)
    expected = "`times` are numbers, at least one, from the least to the largest"
    for one in several:
        if isinstance(one, bool) or not isinstance(one, int | float | np.number):
            raise TypeError(f"{expected}, and got {describe(times)}.")
    found = tuple(float(one) for one in several)
    if not found or not all(a < b for a, b in zip(found, (*found[1:], np.inf), strict=True)):
        raise ValueError(f"{expected}, and got {describe(times)}.")
    return found


class AtTimes(Metric):
    """A metric value at some times, which says how likely it is that something isn't censored until then."""

    times: tuple[float, ...] = eqx.field(static=True, converter=_as_times)
    """The times, one or several."""
    censoring: Censoring = eqx.field(kw_only=True)
    """How likely it is that something isn't censored yet."""
    by_time: bool = eqx.field(default=False, kw_only=True, static=True, converter=flag("by_time"))
    """Whether there is a value for each time, and none of all."""

    def __check_init__(self) -> None:
        # Whatever it is annotated as.
        censoring: object = self.censoring
        if not isinstance(censoring, Censoring):
            raise TypeError(
                "`censoring` is what `tg.metrics.Censoring` makes of the labels of the training data, and got "
                f"{describe(censoring)}."
            )
