"""Checking the laws of a loss or metric."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from .._describe import array_name, differences
from .._errors import ContractError
from .._terms._accumulator import merge_all
from .._types import PyTree
from ._laws import LAWS, Sides, metric_value, tried, weights
from ._subject import Subject, differing, emptied, make_subject, place, poisoned

# Those that aren't of pairs of metric values in one program.
_OTHERS = {
    "jit": "compiled it is what it is when it isn't",
    "stability": "accumulators keep their structure, shapes and dtypes",
    "precision": "accumulators hold numbers of at least 32 bits",
    "gradients": "gradients are finite",
}

# Where logarithms, roots and absolute values are at their worst.
EXTREMES = (0.0, 1.0, 1e-30, 1e4, -1e4)


def check_loss(
    loss: object, *, rtol: float = 1e-5, atol: float = 1e-6, extremes: Sequence[float] = EXTREMES, **values: Any
) -> None:
    """Check the laws that every loss keeps, on some examples.

    Those of [`treegy.testing.check_metric`][], with the reduction of the loss, or its weighted mean where it is about
    weights. And its gradients are finite: with respect to `y_pred`, or to `parameters` if it asks for no examples, at
    the given values, at `y_pred = y_true`, and where all of them are one of `extremes`.

    **Arguments:**

    - `loss`: a [`treegy.Loss`][], or a plain function.
    - `rtol`, `atol`: how much metric values may differ by rounding.
    - `extremes`: numbers at which gradients must be finite, too.
    - `**values`: the values that `call` asks for, by name. Of `x`, `y_true` and `y_pred` at least 4 examples.

    **Raises:** `AssertionError` that names the law, both metric values and the mend. `TypeError` or `ValueError` where
    there is nothing to check.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        class Careless(tg.Loss):
            def call(self, y_true, y_pred):
                return jnp.sqrt(jnp.sum((y_true - y_pred) ** 2, axis=-1))

        y_true, y_pred = jnp.zeros((6, 2)), jnp.ones((6, 2))
        tg.testing.check_loss(tg.losses.Huber(), y_true=y_true, y_pred=y_pred)
        try:
            tg.testing.check_loss(Careless(), y_true=y_true, y_pred=y_pred)
        except AssertionError as e:
            print(e)
        ```

        ```text
        loss `careless_loss` (Careless.call) breaks the law "gradients": gradients are finite.
            the gradient of `y_pred` where it is 0 everywhere : [nan nan nan nan nan nan nan nan nan nan nan nan]
        The slope of a root, logarithm, quotient or power is infinite somewhere: bound its argument before taking it.
        ```
    """
    it = make_subject("loss", loss, values)
    _check(it, rtol, atol)
    _check_gradients(it, extremes)


def check_metric(metric: object, *, rtol: float = 1e-5, atol: float = 1e-6, **values: Any) -> None:
    """Check the laws that every metric keeps, on some examples.

    - `batching`: the metric value doesn't depend on how the examples are cut into batches.
    - `merging`: merging is associative and commutative, and merging with `empty()` changes nothing.
    - `repetition`: an example of the weight k counts like k examples.
    - `absence`: an example of the weight 0 isn't there, even where its value is NaN.
    - `nothing`: examples that all have the weight 0 are no examples: the metric value is that of `empty()`, and isn't
      NaN unless an option that is NaN asks for it.
    - `vmap`: under vmap it is what it is alone.
    - `jit`: compiled it is what it is when it isn't.
    - `stability`: accumulators keep their structure, shapes and dtypes, so that nothing is compiled again.
    - `precision`: accumulators hold numbers of at least 32 bits, also where the values are of 16: counts and sums would
      stop growing. Booleans may be held, too.

    What can't keep one of them by what it means says so, and why, in its class attribute `exempt_from`; then that law
    isn't checked.

    **Arguments:**

    - `metric`: a [`treegy.Metric`][], or a plain function.
    - `rtol`, `atol`: how much metric values may differ by rounding.
    - `**values`: the values that `call` asks for, by name. Of `x`, `y_true` and `y_pred` at least 4 examples.

    **Raises:** `AssertionError` that names the law, both metric values and the mend. `TypeError` or `ValueError` where
    there is nothing to check.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        def bias(y_true, y_pred):
            return jnp.mean(y_pred - y_true)

        y_true, y_pred = jnp.zeros(6), jnp.arange(6.0)
        tg.testing.check_metric(lambda y_true, y_pred: y_pred - y_true, y_true=y_true, y_pred=y_pred)
        try:
            tg.testing.check_metric(bias, y_true=y_true, y_pred=y_pred)
        except AssertionError as e:
            print(e)
        ```

        ```text
        metric `bias` breaks the law "repetition": an example of the weight k counts like k examples.
            metric `bias` returned a scalar where `sample_weight` f32[6] was given: the weights would be lost. ...
        ```
    """
    _check(make_subject("metric", metric, values), rtol, atol)


def _check(it: Subject, rtol: float, atol: float) -> None:
    known = [*LAWS, *_OTHERS]
    for law in it.exempt:
        if law not in known:
            raise ValueError(f"{it.term.who} is `exempt_from` {law!r}; there are the laws {', '.join(known)}.")
    weight = weights(it.size)
    _check_stability(it)
    _check_precision(it)
    if it.size:
        try:
            jax.eval_shape(it.of, it.examples, weight)
        except ContractError as e:
            raise AssertionError(f"{_broken(it, 'repetition')}\n    {e}") from e
    of = jax.jit(lambda examples, weight: tried(it, examples, weight))(it.examples, weight)
    if "jit" not in it.exempt:
        compiled = metric_value(of.weighted if it.size else of.whole)
        eager = Sides(it.metric_values(it.examples, weight), "run eagerly", compiled, "compiled")
        _compare(it, "jit", eager, "Keep to `jnp`, and to what `call` is given.", rtol, atol)
    for name, law in LAWS.items():
        if name not in it.exempt and (it.size or not law.of_examples):
            for sides in law.sides(it, of):
                _compare(it, name, sides, law.mend, rtol, atol)


def _compare(it: Subject, law: str, sides: Sides, mend: str, rtol: float, atol: float) -> None:
    found = differing(sides.metric_value, sides.other, rtol, atol)
    if found is None:
        return
    name, metric_value, other = found
    width = max(len(sides.of), len(sides.other_of))
    where = f" (of {name})" if name else ""
    raise AssertionError(
        f"{_broken(it, law)}\n"
        f"    {sides.of:{width}} : {metric_value}{where}\n"
        f"    {sides.other_of:{width}} : {other}{where}\n"
        f"{mend}"
    )


def _broken(it: Subject, law: str) -> str:
    says = LAWS[law].says if law in LAWS else _OTHERS[law]
    return f'{it.term.who} breaks the law "{law}": {says}.'


def _check_stability(it: Subject) -> None:
    """Check that shapes and dtypes are the same for any batch, and after merging."""
    try:
        whole = jax.eval_shape(it.of, it.examples)
    except (jax.errors.JAXTypeError, jax.errors.JAXIndexError) as e:
        raise AssertionError(
            f"{_broken(it, 'jit')}\n    {type(e).__name__}: {str(e).splitlines()[0]}\n"
            "A value isn't known while tracing: use `jnp.where` instead of `if`, and `jnp` instead of `np`."
        ) from e
    if "stability" in it.exempt:
        return
    others = {
        "of a batch of another size": jax.eval_shape(lambda e: it.of(jax.tree.map(lambda a: a[1:], e)), it.examples),
        "merged": jax.eval_shape(merge_all, whole, whole),
        "of `empty()`": jax.eval_shape(emptied, whole),
    }
    for what, other in others.items():
        difference = _other_shape(whole, other)
        if difference is not None:
            before, after = difference
            width = max(len(what), len("of a batch"))
            raise AssertionError(
                f"{_broken(it, 'stability')}\n    {'of a batch':{width}} : {before}\n    {what:{width}} : {after}\n"
                "Give every field its dtype and shape where it is made; what is static mustn't depend on the batch."
            )


def _check_precision(it: Subject) -> None:
    """Check that nothing is counted or summed in less than 32 bits, of the values as they are and of ones of 16."""
    if "precision" in it.exempt:
        return
    tried = {"of a batch": jax.eval_shape(it.of, it.examples)}
    try:
        # It is about what is made of such values, not about how they meet others.
        with jax.numpy_dtype_promotion("standard"):
            tried["of a batch in float16"] = jax.eval_shape(it.of, jax.tree.map(_halved, it.examples))
    except TypeError:
        pass  # its annotations, or what it computes, refuse half precision
    for what, accumulators in tried.items():
        for path, leaf in jax.tree_util.tree_leaves_with_path(accumulators):
            if jnp.issubdtype(leaf.dtype, jnp.number) and leaf.dtype.itemsize < 4:
                raise AssertionError(
                    f"{_broken(it, 'precision')}\n    {what} : {place(path)} {array_name(leaf)}\n"
                    "Convert values before they are summed, as `tg.Sum` and `tg.Mean` do: `values.astype(jnp.float32)`."
                )


def _halved(leaf: jax.Array) -> jax.Array:
    return leaf.astype(jnp.float16) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf


def _other_shape(one: PyTree, other: PyTree) -> tuple[str, str] | None:
    """Return what differs first in the shapes and dtypes of two trees, or else in their structure."""
    for name, shown, other_shown in differences(_shown(one), _shown(other)):
        if shown is not None and other_shown is not None:
            return f"{name} {shown}", f"{name} {other_shown}"
    structure, other_structure = jax.tree.structure(one), jax.tree.structure(other)
    return None if structure == other_structure else (str(structure), str(other_structure))


def _shown(shapes: PyTree) -> dict[str, str]:
    leaves = jax.tree_util.tree_leaves_with_path(shapes)
    return {place(path): array_name(a) + (", weakly" if a.weak_type else "") for path, a in leaves}


def _check_gradients(it: Subject, extremes: Sequence[float]) -> None:
    name = "y_pred" if it.size else "parameters"
    values: PyTree = (it.examples if it.size else it.others).get(name)
    floats, rest = eqx.partition(values, eqx.is_inexact_array)
    if "gradients" in it.exempt or not jax.tree.leaves(floats):
        return
    weight, some = (jnp.ones(it.size), weights(it.size)) if it.size else (None, None)
    points = {"as given": (floats, it.examples, weight)}
    for number in extremes:
        at = jax.tree.map(lambda a, c=number: jnp.full_like(a, c), floats)
        points[f"where it is {number:g} everywhere"] = (at, it.examples, weight)
    labels = it.examples.get("y_true")
    if labels is not None and _other_shape(_shapes(floats), _shapes(labels)) is None:
        points["where it is `y_true`"] = (labels, it.examples, weight)
    if some is not None and "absence" not in it.exempt:
        points["where the labels of weight 0 are NaN"] = (floats, poisoned(it.examples, np.asarray(some) == 0), some)

    def total(floats: PyTree, examples: dict[str, PyTree], weight: jax.Array | None) -> ArrayLike:
        given = {name: eqx.combine(floats, rest)}
        of = it if it.size else it._replace(others={**it.others, **given})
        metric_values = of.metric_values({**examples, **given} if it.size else {}, weight)
        return sum(jnp.sum(f) for f in jax.tree.leaves(metric_values))

    gradient = jax.jit(jax.grad(total))
    for where, at in points.items():
        for leaf in jax.tree.leaves(gradient(*at)):
            if not np.all(np.isfinite(leaf)):
                shown = np.array2string(np.ravel(leaf), threshold=16, max_line_width=100)
                raise AssertionError(
                    f"{_broken(it, 'gradients')}\n    the gradient of `{name}` {where} : {shown}\n"
                    "The slope of a root, logarithm, quotient or power is infinite somewhere: bound its argument "
                    "before taking it."
                )


def _shapes(tree: PyTree) -> PyTree:
    return jax.eval_shape(lambda: tree)
