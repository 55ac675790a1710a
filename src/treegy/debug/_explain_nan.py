"""`explain_nan`: the first place of a training step that is not a number."""

from typing import Any, NamedTuple, cast

import equinox as eqx
import jax
import jax.extend.core as jex
import jax.numpy as jnp
import numpy as np

from .._data._as_arrays import as_arrays
from .._data._batch import Batch
from .._describe import is_arraylike, path_name
from .._model._checks import check_can_train
from .._sharding._placing import local
from .._sharding._processes import is_shared
from .._steps._hashable import Static, hashable_combine, hashable_partition
from .._steps._homes import distributed
from .._steps._model_like import ModelLike
from .._steps._prepare import prepared
from .._steps._run_step import train
from .._steps._stacks import refuse_stack
from .._terms._class_weight import as_table
from .._types import KeyPath, PyTree
from ._doubts import doubts
from ._named_scopes import named
from ._place import LOG
from ._replay import Given, Replay
from ._report import Spoiled, Step, report


def explain_nan(
    model: ModelLike, x: PyTree = None, y: PyTree = None, sample_weight: PyTree = None, class_weight: PyTree = None
) -> str | None:
    """Replay one training step, operation by operation, and say where it is not finite first.

    The step is that of `model.train_on_batch` from the model's own states and keys; nothing of it is kept. It runs much
    slower than compiled.

    **Arguments:** those of [`treegy.Model.train_on_batch`][].

    **Returns:**

    The first value that isn't finite: an array of the data or of the states that wasn't before the step, by its name;
    else the operation that makes infinity or NaN of numbers, and the layer, the loss, the metric, the gradient of one
    of them or the optimizer's update that it is in, with the line that it comes from. Then what is spoiled by it:
    metric values, gradients, parameters and other states. Last, what [`treegy.debug.doubts`][] says of the batch,
    such as labels that are out of range. `None` if all that the step makes is finite: infinity as in masks, values
    that are selected away, and what was so before and spoils nothing, are ignored.

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
    refuse_stack(model, "`explain_nan`")
    parts = {"x": x, "y": y, "sample_weight": sample_weight}
    named = {name: jax.tree.map(jnp.asarray, as_arrays(value, name)) for name, value in parts.items()}
    table = as_table(class_weight)
    table = jax.tree.map(jnp.asarray, table)
    examples = Batch(named["x"], named["y"], named["sample_weight"], table)
    return explain_step(prepared(model, "train", examples), examples)


def explain_step(model: ModelLike, examples: Batch) -> str | None:
    """Return what `explain_nan` does, for a model that is ready to be trained and a batch."""
    found = _replayed(model, examples)
    if found is None:
        return None
    try:
        why = doubts(cast(Any, model), examples.x, examples.y_true, examples.sample_weight)
    except Exception:  # of another shape than it expects; what was found is worth more
        return found
    # What a metric reads spoils nothing else, and that predictions are NaN is a consequence.
    causes = [doubt for doubt in why if doubt.startswith("loss ") and "are NaN" not in doubt]
    return "\n".join([found, *(f"Perhaps this is why: {doubt}" for doubt in causes)])


def _replayed(model: ModelLike, examples: Batch) -> str | None:
    if is_shared(model.strategy):
        # Each process replays the step by itself, operation by operation: none waits for another then.
        examples = jax.tree.map(lambda leaf: local(leaf, model.strategy), examples)
        model = distributed(model, None)
    arrays = hashable_partition(model)[0]
    try:
        with named(model) as observed:
            program = _traced(observed, arrays, examples)
    except Exception:  # Names must not disturb: without them, operations and lines are still right.
        program = _traced(model, arrays, examples)
    replay, names = Replay(), _names_of_states(model)
    trained = {id(leaf) for leaf in jax.tree.leaves(model.states.get("net_params"))}
    kinds = ["the parameter " if id(array) in trained else "" for array in arrays]
    before = [Given(f"{k}`{n}`", a) for k, n, a in zip(kinds, names, arrays, strict=True)]
    outputs, blames = replay.run(program.closed, [*before, *_data(examples)])
    n = len(arrays)
    states = [Spoiled(*found) for found in zip(names, outputs[:n], blames[:n], arrays, strict=True)]
    logs = [Spoiled(*found) for found in zip(program.logs, outputs[n:], blames[n:], strict=True)]
    return report(Step(logs, [Spoiled(*found) for found in replay.marked], states))


class _Program(NamedTuple):
    closed: jex.ClosedJaxpr
    logs: list[str]
    """The names of what it returns after the arrays of the model."""


def _traced(model: ModelLike, arrays: list[jax.Array | np.ndarray], examples: Batch) -> _Program:
    frozen: Static = hashable_partition(model)[1]
    names: list[str] = []

    def step(arrays: list[jax.Array], examples: Batch) -> tuple[list[jax.Array], list[jax.Array]]:
        after, logs = train(hashable_combine(arrays, frozen), examples)
        metric_values: dict[str, PyTree] = {}
        for name, value in logs.each.items():
            with jax.named_scope(LOG + name):
                metric_values[name] = value.compute()
        found = jax.tree_util.tree_leaves_with_path(list(metric_values.values()))
        order = list(metric_values)
        names[:] = [order[path[0].idx] + path_name(path[1:]) for path, _ in found]
        return hashable_partition(after)[0], [value for _, value in found]

    return _Program(jax.make_jaxpr(step)(arrays, examples), names)


def _names_of_states(model: ModelLike) -> list[str]:
    """Return what the arrays of a model are called: `module.layers[0].weight`, `states.optimizer_states[0].mu...`."""
    indices = _indices(model)

    def name(path: KeyPath, leaf: PyTree) -> str:
        if id(leaf) in indices:
            return f"state of {indices[id(leaf)]}"
        return path_name(path).removeprefix(".").replace("_carried", "states", 1)

    leaves = jax.tree_util.tree_leaves_with_path(model)
    return [name(path, leaf) for path, leaf in leaves if hashable_partition(leaf)[0]]


def _indices(model: ModelLike) -> dict[int, str]:
    """Return where the index of an entry of the `eqx.nn.State` is in the module, by the ids of its arrays."""
    found: dict[int, str] = {}
    is_index = lambda n: isinstance(n, eqx.nn.StateIndex)  # noqa: E731
    for path, index in jax.tree_util.tree_leaves_with_path(model.module, is_leaf=is_index):
        if is_index(index) and model.state is not None:
            try:
                leaves = jax.tree.leaves(model.state.get(index))
            except KeyError:  # an index of another state
                continue
            found.update({id(leaf): f"module{path_name(path)}" for leaf in leaves if is_arraylike(leaf)})
    return found


def _data(examples: Batch) -> list[Given]:
    """Return the arrays of a batch, and what they are called."""
    found: list[Given] = []
    for field, tree in examples._asdict().items():
        name = "y" if field == "y_true" else field
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
            found.append(Given(f"the data `{name}{path_name(path)}`", leaf, field != "class_weight"))
    return found
