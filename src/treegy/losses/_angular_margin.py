"""ArcFace and CosFace: crossentropies of cosines, where that of the right class has to win by a margin."""

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from .._checks import check_number
from .._terms._classes import class_labels
from .._terms._elementwise import EPSILON, in_floats
from .._terms._loss import Loss
from ._sparse_categorical_crossentropy import sparse_categorical_crossentropy


def arc_face(
    y_true: Shaped[Array, "..."], y_pred: Num[Array, "..."], *, scale: ArrayLike = 64.0, margin: ArrayLike = 0.5
) -> Float[Array, "..."]:
    r"""The crossentropy of cosines, where the angle of the right class is enlarged by a margin,

    $$
    -\log \frac{e^{s \cos(\theta_y + m)}}{e^{s \cos(\theta_y + m)} + \sum_{c \ne y} e^{s \cos \theta_c}}
    $$

    Where $\theta_y + m$ would be beyond $\pi$, $\cos \theta_y - m \sin m$ stands for the cosine, as in the authors'
    code.

    **Arguments:**

    - `y_true`: class indices $y$, integers `(batch, ...)`.
    - `y_pred`: $\cos \theta_c$ `(batch, ..., classes)`, from -1 to 1: the cosines of an embedding and a vector of each
        class. What is outside counts as the end.
    - `scale`: $s$.
    - `margin`: $m$, in radians.

    **Returns:**

    One value per label, `(batch, ...)`, NaN for a label that isn't a class. In the dtype of `y_pred`, at least float32.
    Nothing is averaged over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where `y_true` isn't of an integer dtype or doesn't fit `y_pred`.

    ??? cite

        Deng et al., *ArcFace: Additive Angular Margin Loss for Deep Face Recognition*, CVPR 2019.
    """
    cosines, own = _cosines(y_true, y_pred)
    margin = jnp.asarray(margin, cosines.dtype)
    # The slope of the root is infinite at 0.
    sines = jnp.sqrt(jnp.maximum(1 - cosines**2, EPSILON))
    turned = cosines * jnp.cos(margin) - sines * jnp.sin(margin)
    turned = jnp.where(cosines > -jnp.cos(margin), turned, cosines - margin * jnp.sin(margin))
    return _crossentropy(y_true, jnp.where(own, turned, cosines), scale)


def cos_face(
    y_true: Shaped[Array, "..."], y_pred: Num[Array, "..."], *, scale: ArrayLike = 64.0, margin: ArrayLike = 0.35
) -> Float[Array, "..."]:
    r"""The crossentropy of cosines, where that of the right class is less by a margin,

    $$
    -\log \frac{e^{s (\cos \theta_y - m)}}{e^{s (\cos \theta_y - m)} + \sum_{c \ne y} e^{s \cos \theta_c}}
    $$

    **Arguments:**

    - `y_true`, `y_pred`: as for [`treegy.losses.arc_face`][].
    - `scale`: $s$.
    - `margin`: $m$.

    **Returns:**

    One value per label, `(batch, ...)`, NaN for a label that isn't a class. In the dtype of `y_pred`, at least float32.
    Nothing is averaged over examples; see [`treegy.Loss`][].

    **Raises:** [`treegy.ContractError`][] where `y_true` isn't of an integer dtype or doesn't fit `y_pred`.

    ??? cite

        Wang et al., *CosFace: Large Margin Cosine Loss for Deep Face Recognition*, CVPR 2018.
    """
    cosines, own = _cosines(y_true, y_pred)
    return _crossentropy(y_true, jnp.where(own, cosines - jnp.asarray(margin, cosines.dtype), cosines), scale)


def _cosines(y_true: Array, y_pred: Array) -> tuple[Array, Array]:
    """Return the cosines in floats, and which of them are those of the right classes."""
    labels = class_labels(y_true, y_pred)
    _, cosines = in_floats(y_true, y_pred)
    own = labels[..., None] == jnp.arange(cosines.shape[-1], dtype=labels.dtype).reshape((1,) * labels.ndim + (-1,))
    return jnp.clip(cosines, -1, 1), own


def _crossentropy(y_true: Array, cosines: Array, scale: ArrayLike) -> Array:
    logits = jnp.asarray(scale, cosines.dtype) * cosines
    return sparse_categorical_crossentropy(y_true, logits, from_logits=True)


class ArcFace(Loss):
    r"""The crossentropy of angles with a margin: [`treegy.losses.arc_face`][].

    **Raises:** `ValueError` where `scale` isn't positive, or `margin` isn't from 0 to $\pi / 2$.

    !!! example

        ```python
        import equinox as eqx
        import jax
        import jax.numpy as jnp
        import treegy as tg

        class Faces(eqx.Module):
            network: eqx.nn.Linear
            classes: jax.Array

            def __call__(self, x):
                embedding = self.network(x)
                lengths = jnp.linalg.norm(self.classes, axis=-1) * jnp.linalg.norm(embedding)
                return self.classes @ embedding / jnp.maximum(lengths, 1e-7)

        k1, k2 = jax.random.split(jax.random.key(0))
        network = Faces(eqx.nn.Linear(5, 4, key=k1), jax.random.normal(k2, (10, 4)))
        model = tg.Model(network, loss=tg.losses.ArcFace())
        model.check(jnp.ones((8, 5)), jnp.zeros(8, int))

        loss = tg.losses.ArcFace(scale=1.0, margin=0.0)
        assert abs(loss(jnp.array([0]), jnp.array([[1.0, 0.0]])) - jnp.log(1 + 1 / jnp.e)) < 1e-6
        ```
    """

    scale: ArrayLike = eqx.field(default=64.0, kw_only=True)
    """What cosines are multiplied with."""
    margin: ArrayLike = eqx.field(default=0.5, kw_only=True)
    """How much larger the angle of the right class counts, in radians."""

    def __check_init__(self) -> None:
        check_number("scale", self.scale, lambda s: s > 0, "a positive number")
        check_number("margin", self.margin, lambda m: 0 <= m <= 1.5707964, "an angle from 0 to π/2")

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return arc_face(y_true, y_pred, scale=self.scale, margin=self.margin)


class CosFace(Loss):
    r"""The crossentropy of cosines with a margin: [`treegy.losses.cos_face`][].

    **Raises:** `ValueError` where `scale` isn't positive, or `margin` is negative.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        loss = tg.losses.CosFace(scale=1.0, margin=1.0)
        assert abs(loss(jnp.array([0]), jnp.array([[1.0, 0.0]])) - jnp.log(2)) < 1e-6
        ```
    """

    scale: ArrayLike = eqx.field(default=64.0, kw_only=True)
    """What cosines are multiplied with."""
    margin: ArrayLike = eqx.field(default=0.35, kw_only=True)
    """How much less the cosine of the right class counts."""

    def __check_init__(self) -> None:
        check_number("scale", self.scale, lambda s: s > 0, "a positive number")
        check_number("margin", self.margin, lambda m: m >= 0, "a number that isn't negative")

    def call(self, y_true: Shaped[Array, "batch ..."], y_pred: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        return cos_face(y_true, y_pred, scale=self.scale, margin=self.margin)
