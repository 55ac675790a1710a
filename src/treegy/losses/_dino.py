"""DINO: a student has the sharpened, centred distribution of its teacher."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from .._checks import check_number
from .._describe import array_name
from .._errors import ContractError
from .._terms._elementwise import laid_along
from .._terms._loss import Loss
from .._types import PyTree
from ._of_module import OfModule, check_of_module, number_of
from ._several import several
from ._tempered import expected, log_tempered


def dino(
    y_pred: PyTree,
    *,
    center: ArrayLike = 0.0,
    student_temperature: ArrayLike = 0.1,
    teacher_temperature: ArrayLike = 0.04,
) -> Float[Array, "..."]:
    r"""The crossentropy of a student and its teacher, $-\sum_k t_k \log s_k$ with
    $t = \text{softmax}((y - c) / \tau_t)$ and $s = \text{softmax}(\hat y / \tau_s)$. No gradient flows into the
    teacher, nor into the center $c$.

    **Arguments:**

    - `y_pred`: logits `(student, teacher)`, each `(batch, ..., k)`: $\hat y$ and $y$, of different views. Several
        pairs of views are stacked along an axis between.
    - `center`: $c$, a number or `(k,)`: the running mean of the teacher's logits, which the module keeps.
    - `student_temperature`, `teacher_temperature`: $\tau_s$ and $\tau_t$, both positive.

    **Returns:**

    One value for each pair of views, `(batch, ...)`. In the dtype of the logits, at least float32. Nothing is averaged
    over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where `y_pred` isn't two arrays of the same shape, or the center isn't of
    theirs.

    ??? cite

        Caron et al., *Emerging Properties in Self-Supervised Vision Transformers*, ICCV 2021.
    """
    student, teacher = several(y_pred, ("student", "teacher"))
    if student.ndim < 2:
        raise ContractError(
            f"`y_pred[0]` (the student) is {array_name(student)}, and logits are expected: shapes like (batch, k)."
        )
    center = jnp.asarray(center, student.dtype)
    if center.shape not in ((), student.shape[-1:]):
        raise ContractError(
            f"`center` is {array_name(center)}, and a number or one for each of the {student.shape[-1]} logits is "
            "expected."
        )
    # Of the largest numbers a quarter, so that what the center is subtracted from stays finite.
    bound = float(jnp.finfo(student.dtype).max) / 4
    centered = jnp.clip(teacher, -bound, bound) - laid_along(center, student.ndim - 1, student.ndim)
    log_t = log_tempered(jax.lax.stop_gradient(centered), jnp.asarray(teacher_temperature, student.dtype))
    log_s = log_tempered(student, jnp.asarray(student_temperature, student.dtype))
    return -expected(jnp.exp(log_t), log_s)


class DINO(Loss):
    r"""A student like its teacher: [`treegy.losses.dino`][].

    **Raises:** `ValueError` where a temperature isn't positive.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.DINO(center=lambda module: module["center"])
        logits = jnp.array([[1.0, 0.0, 0.0]])
        assert loss((logits, logits), module={"center": jnp.zeros(3)}) < 0.01
        # Centred, the teacher prefers nothing.
        assert loss((logits, logits), module={"center": logits[0]}) > 1
        ```
    """

    center: OfModule = eqx.field(default=0.0, kw_only=True)
    """What is subtracted from the teacher's logits: numbers, or a function of the module that returns them."""
    student_temperature: ArrayLike = eqx.field(default=0.1, kw_only=True)
    """What the student's logits are divided by."""
    teacher_temperature: ArrayLike = eqx.field(default=0.04, kw_only=True)
    """What the teacher's logits are divided by."""

    def __check_init__(self) -> None:
        check_of_module("center", self.center, lambda c: c == c, "a number")
        for name in ("student_temperature", "teacher_temperature"):
            check_number(name, getattr(self, name), lambda t: t > 0, "a positive number")

    def call(self, y_pred: PyTree, module: PyTree = None) -> Float[Array, "batch ..."]:
        return dino(
            y_pred,
            center=number_of("center", self.center, module),
            student_temperature=self.student_temperature,
            teacher_temperature=self.teacher_temperature,
        )
