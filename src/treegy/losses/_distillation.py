"""Distillation: a student has the distribution of its teacher."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from .._checks import check_number
from .._terms._classes import class_axis
from .._terms._elementwise import in_floats
from .._terms._loss import Loss
from ._tempered import expected, log_tempered


def distillation(
    y_true: Shaped[Array, "..."], y_pred: Num[Array, "..."], *, temperature: ArrayLike = 2.0
) -> Float[Array, "..."]:
    r"""How far the distribution of a student is from that of its teacher, both at a temperature $T$,

    $$
    T^2 \sum_c t_c \log \frac{t_c}{s_c}, \qquad t = \text{softmax}(y / T), \quad s = \text{softmax}(\hat y / T)
    $$

    where $T^2$ keeps gradients as large as those of a crossentropy, whatever the temperature. No gradient flows into
    the teacher.

    **Arguments:**

    - `y_true`: logits $y$ of the teacher, `(batch, ..., classes)`. Of a teacher within the module, a loss of your own
        calls this function: `lambda y_pred: tg.losses.distillation(y_pred["teacher"], y_pred["student"])`.
    - `y_pred`: logits $\hat y$ of the student, of the same shape.
    - `temperature`: $T > 0$.

    **Returns:**

    One value per distribution, `(batch, ...)`. In the dtype of the arguments, at least float32. Nothing is averaged
    over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where the shapes differ, or where there is no last axis of several classes.

    ??? cite

        Hinton et al., *Distilling the Knowledge in a Neural Network*, 2015.
    """
    class_axis(y_true, y_pred)
    teacher, student = in_floats(y_true, y_pred)
    degree = jnp.asarray(temperature, student.dtype)
    log_t = log_tempered(jax.lax.stop_gradient(teacher), degree)
    return degree**2 * expected(jnp.exp(log_t), log_t - log_tempered(student, degree))


class Distillation(Loss):
    r"""The divergence of a student from its teacher: [`treegy.losses.distillation`][].

    **Raises:** `ValueError` where `temperature` isn't positive.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.Distillation(temperature=1.0)
        teacher, student = jnp.log(jnp.array([[0.5, 0.5]])), jnp.log(jnp.array([[0.25, 0.75]]))
        assert abs(loss(teacher, student) - 0.1438) < 1e-4
        ```
    """

    temperature: ArrayLike = eqx.field(default=2.0, kw_only=True)
    """What logits are divided by."""

    def __check_init__(self) -> None:
        check_number("temperature", self.temperature, lambda t: t > 0, "a positive number")

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return distillation(y_true, y_pred, temperature=self.temperature)
