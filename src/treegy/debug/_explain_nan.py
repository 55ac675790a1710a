"""`explain_nan`: the first place of a training step that is not a number."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._describe import array_name, is_arraylike, path_name
from .._driver import Examples, train
from .._flat import join, split
from .._invariants import check_can_train
from .._prepare import prepared, without_metrics
from ..data._arrays import as_arrays
from ..data._class_weight import as_table
from ._origins import Origin, origins

_SHOWN = 8


def explain_nan(
    model: Any, x: Any = None, y: Any = None, sample_weight: Any = None, class_weight: Any = None
) -> str | None:
    """Replay one training step, operation by operation, and say where it is not finite first.

    The step is that of `model.train_on_batch` from the model's own states and keys; nothing of it is kept. It runs much
    slower than compiled.

    **Arguments:** those of [`treegy.Model.train_on_batch`][].

    **Returns:**

    What is not finite of the data and the parameters already; else the operation that makes NaN of numbers, with the
    line that it comes from and whether it belongs to a gradient, and what it spoils: parts of the loss, parameters and
    other states. `None` if all is finite.

    !!! example

        ```python
        import equinox as eqx
        import jax
        import jax.numpy as jnp
        import optax
        import treegy as tg

        def loss(y_pred):
            return jnp.sqrt(jnp.sum(y_pred**2, axis=-1) - 1e9)

        net = eqx.nn.Linear(3, 2, key=jax.random.key(0))
        model = tg.Model(net, loss=loss, optimizer=optax.sgd(0.1))
        text = tg.debug.explain_nan(model, jnp.ones((4, 3)))
        assert text is not None and "`sqrt`" in text
        ```
    """
    check_can_train(model)
    parts = {"x": x, "y": y, "sample_weight": sample_weight}
    named = {name: jax.tree.map(jnp.asarray, as_arrays(value, name)) for name, value in parts.items()}
    table = as_table(class_weight)
    table = None if table is None else jnp.asarray(table)
    examples = Examples(named["x"], named["y"], named["sample_weight"], table)
    return explain_step(without_metrics(prepared(model, "train", examples)), examples)


def explain_step(model: Any, examples: Examples) -> str | None:
    """The same for a model that is ready to be trained, and a batch."""
    already = [
        f"{where}{path_name(path)} {counted(leaf)}"
        for where, tree in (("the data: ", examples), ("states", model.states))
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
        if is_arraylike(leaf) and not is_finite(leaf)
    ]
    if already:
        return "\n".join(["Before the step, these were not finite already:", *(f"  {line}" for line in already)])
    arrays, frozen = split(model)

    def step(arrays: list[Any], examples: Examples) -> Any:
        after, logs = train(join(arrays, frozen), examples)
        return after.states, {name: value.compute() for name, value in logs.each.items()}

    closed, shapes = jax.make_jaxpr(step, return_shape=True)(arrays, examples)
    outputs, spoiled = origins(closed, jax.tree.leaves((arrays, examples)))
    tree = jax.tree.structure(shapes)
    states, logs = jax.tree.unflatten(tree, outputs)
    bad_logs = {n: v for n, v in logs.items() if not is_finite(v)}
    leaves = jax.tree_util.tree_leaves_with_path(states)
    bad_states = [(path, leaf) for path, leaf in leaves if is_arraylike(leaf) and not is_finite(leaf)]
    if not bad_logs and not bad_states:
        return None
    found = min((o for several in spoiled for o in several), default=None)
    lines = ["The step is not finite." if found is None else f"The first that is not finite: {_told(found)}"]
    lines += [f"  spoiled: the log `{name}`, {float(np.mean(np.asarray(value))):g}" for name, value in bad_logs.items()]
    lines += [f"  spoiled: states{path_name(path)} {counted(value)}" for path, value in bad_states[:_SHOWN]]
    if len(bad_states) > _SHOWN:
        lines.append(f"  ... and {len(bad_states) - _SHOWN} more")
    return "\n".join(lines)


def _told(origin: Origin) -> str:
    inputs = ", ".join(f"{array_name(a)} from {_least(a)} to {_most(a)}" for a in origin.inputs if np.size(a))
    where = f" in {origin.where}" if origin.where else ""
    gradient = ", in the gradient" if origin.in_gradient else ""
    return f"`{origin.operation}`{where}{gradient}\n  of: {inputs}\n  makes: {counted(origin.output)}"


def _least(array: Any) -> str:
    return f"{np.min(np.asarray(array, np.float64)):.4g}"


def _most(array: Any) -> str:
    return f"{np.max(np.asarray(array, np.float64)):.4g}"


def is_finite(leaf: Any) -> bool:
    return not jnp.issubdtype(leaf.dtype, jnp.inexact) or bool(jnp.all(jnp.isfinite(leaf)))


def counted(leaf: Any) -> str:
    """`f32[2,3]: 1 of 6 is nan`."""
    nan, inf = int(jnp.sum(jnp.isnan(leaf))), int(jnp.sum(jnp.isinf(leaf)))
    parts = [f"{n} of {leaf.size} {'is' if n == 1 else 'are'} {what}" for n, what in ((nan, "nan"), (inf, "inf")) if n]
    return f"{array_name(leaf)}: {', '.join(parts) or 'all finite'}"
