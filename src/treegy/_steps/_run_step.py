"""What happens around a step, whoever calls it: its key, its logs, its counter, and what it made of the states.

The same driver serves the compiled chunks of `fit`, `evaluate` and `predict` and the `*_on_batch` methods.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._data._batch import Batch
from .._data._mistaken_batches import batches_explained
from .._describe import array_name, describe, is_arraylike, leaf_name, listed, path_name
from .._terms._accumulator import Mean, is_accumulator
from .._terms._logs import Logs
from ._assembly import with_states
from ._evaluated import states_to_evaluate
from ._forward import size_of_batch
from ._states import States

# Streams of random numbers besides training's, which is folded with the step itself: no step is as large.
_TEST, _PRED, _INIT = np.uint32(0x80007E57), np.uint32(0x80009BED), np.uint32(0x80001217)


class Seen(eqx.Module):
    """What `test_on_batch` has accumulated since `reset_metrics`."""

    logs: Logs
    batches: Any


def train(model: Any, batch: Batch) -> tuple[Any, Logs]:
    """One training step: the model after it and the accumulators of this batch."""
    before = model.states
    inner = before
    if before.get("rng") is not None:
        inner = before.update(rng=jax.random.fold_in(before.rng, before.step))
    with batches_explained("x", batch.x, batch.y_true):
        logs, after = model.call_train_step(**_given(batch), states=inner, initializing=False, training=True)
    after = settled("train_step", before, after)
    if before.get("step") is not None:
        after = after.update(step=before.step + 1)
    return with_states(model, after), Logs.of(lifted("train_step", logs, _size(batch)))


def test(model: Any, batch: Batch, index: Any) -> tuple[Any, Logs]:
    """One evaluation step, the `index`-th of its run."""
    before = model.states
    inner = states_to_evaluate(before)
    with batches_explained("x", batch.x, batch.y_true):
        _, logs, after = model.call_test_step(
            **_given(batch), states=_streamed(inner, _TEST, index), initializing=False, training=False
        )
    logs = Logs.of(lifted("test_step", logs, _size(batch)))
    return with_states(model, settled("test_step", before, _trained_again(before, inner, after))), logs


def predict(model: Any, x: Any, index: Any) -> tuple[Any, Any]:
    """One prediction step, the `index`-th of its run: the model after it and `y_pred`."""
    before = model.states
    inner = states_to_evaluate(before)
    with batches_explained("x", x):
        y_pred, after = model.call_pred_step(
            x=x, states=_streamed(inner, _PRED, index), initializing=False, training=False
        )
    return with_states(model, settled("pred_step", before, _trained_again(before, inner, after))), y_pred


def _trained_again(before: States, inner: States, after: States) -> States:
    """Return the states after a step in which the parameters are those that are trained, not those to evaluate at."""
    return after if inner is before else after.update(net_params=before.net_params)


def _given(batch: Batch) -> dict[str, Any]:
    return batch._asdict()


def _size(batch: Batch) -> int:
    return size_of_batch(batch.x, batch.y_true, batch.sample_weight) or 1


def _streamed(states: States, stream: Any, index: Any) -> States:
    if states.get("rng") is None:
        return states
    return states.update(rng=jax.random.fold_in(jax.random.fold_in(states.rng, stream), index))


def lifted(step: str, logs: Mapping[str, Any], size: int) -> OrderedDict[str, Any]:
    """Logs as accumulators: numbers become their means over examples. Nested dicts become prefixes."""
    flat: OrderedDict[str, Any] = OrderedDict()
    for name, value in logs.items():
        if isinstance(value, Mapping):
            flat.update({f"{name}/{k}": v for k, v in lifted(step, value, size).items()})
        elif is_accumulator(value):
            flat[name] = value
        elif isinstance(value, bool | int | float) or is_arraylike(value):
            flat[name] = Mean.of_batch(value, size)
        else:
            raise TypeError(
                f"step `{step}` logs {name!r} as {describe(value)}; expected are numbers, arrays and `Accumulator`s."
            )
    return flat


def settled(step: str, before: States, after: States) -> States:
    """The states after a step, of exactly the structure, shapes and dtypes that they had before it.

    The root key is put back, which every step folds anew, and what only the driver changes is taken from before.
    """
    kept = {n: before[n] for n in ("rng", "step", "metrics_states") if n in before}
    after = after.update(**kept)
    old, old_tree = jax.tree_util.tree_flatten_with_path(before)
    new, new_tree = jax.tree_util.tree_flatten_with_path(after)
    if old_tree != new_tree:
        raise ValueError(_restructured(step, dict(_by_name(old)), dict(_by_name(new))))
    leaves = [_settled_leaf(step, path, a, b) for (path, a), (_, b) in zip(old, new, strict=True)]
    return jax.tree_util.tree_unflatten(old_tree, leaves)


def _settled_leaf(step: str, path: Any, old: Any, new: Any) -> Any:
    if new is old:
        return new
    where = f"`states{path_name(path)}`"
    if not is_arraylike(old):
        if is_arraylike(new) or type(new) is not type(old) or new != old:
            raise ValueError(
                f"step `{step}` changed {where} from {describe(old)} to {describe(new)}. A leaf that isn't an array "
                "can't change from step to step: make it one, `jnp.asarray(...)`, where it is created."
            )
        return old
    if not is_arraylike(new):
        if isinstance(new, bool | int | float | complex):
            return jnp.asarray(new, old.dtype)
        raise ValueError(f"step `{step}` changed {where} from {array_name(old)} to {describe(new)}.")
    if old.shape != new.shape or old.dtype != new.dtype:
        raise ValueError(
            f"step `{step}` changed {where} from {array_name(old)} to {array_name(new)}. Shapes and dtypes of the "
            "states stay as they are from step to step."
        )
    # A weak type would compile the next step anew.
    return jnp.asarray(new, old.dtype) if getattr(new, "weak_type", False) else new


def _by_name(leaves: Any) -> list[tuple[str, Any]]:
    return [(path_name(path), leaf) for path, leaf in leaves]


def _restructured(step: str, old: dict[str, Any], new: dict[str, Any]) -> str:
    lines = [f"step `{step}` changed the structure of the states, which stays the same from step to step."]
    lines += [f"  new:  states{n} = {leaf_name(v)}" for n, v in new.items() if n not in old][:5]
    lines += [f"  gone: states{n} = {leaf_name(v)}" for n, v in old.items() if n not in new][:5]
    lines.append("Create all of it when `initializing`, or in `states_step`.")
    return "\n".join(lines)


def arrays_from(states: States, names: Any) -> States:
    """`states` whose Python numbers in the fields `names` are arrays, so that they can change from step to step."""

    def convert(leaf: Any) -> Any:
        if isinstance(leaf, bool | int | float | complex | np.ndarray | np.generic):
            return jnp.asarray(leaf)
        if getattr(leaf, "weak_type", False):
            return jnp.asarray(leaf, leaf.dtype)
        return leaf

    return states.update(**{n: jax.tree.map(convert, states[n]) for n in names if n in states})


# The programs behind the public methods: module-level, so that compiling one serves every model of the same structure.


def train_on_batch(model: Any, batch: Batch) -> tuple[Any, Any]:
    model, logs = train(model, batch)
    return model, logs.compute()


def test_on_batch(model: Any, batch: Batch) -> tuple[Any, Any]:
    seen: Seen = model.states.metrics_states
    model, logs = test(model, batch, seen.batches)
    names, known = sorted(logs.each), sorted(seen.logs.each)
    if names != known:
        raise ValueError(
            f"step `test_step` logged {listed(names)} and before {listed(known)}: "
            "call `model = model.reset_metrics()` before evaluating something else."
        )
    seen = Seen(seen.logs.merge(logs), seen.batches + 1)
    return with_states(model, model.states.update(metrics_states=seen)), seen.logs.compute()


def predict_on_batch(model: Any, x: Any) -> Any:
    return predict(model, x, 0)[1]


def initialize(model: Any, kind: str, batch: Batch) -> States:
    """The states after the step of this kind has run while `initializing`, with the root key that they had before."""
    before, given = model.states, _given(batch)
    states = _streamed(before, _INIT, 0)
    with batches_explained("x", batch.x, batch.y_true):
        if kind == "pred":
            _, after = model.call_pred_step(x=batch.x, states=states, initializing=True, training=False)
        elif kind == "test":
            _, _, after = model.call_test_step(**given, states=states, initializing=True, training=False)
        else:
            after = model.call_init_step(**given, states=states)
    return after if before.get("rng") is None else after.update(rng=before.rng)


def empty_logs(run: Any, *args: Any) -> Logs:
    """The accumulators of no examples, of the shapes that `run(*args)` returns as logs. Nothing is computed."""
    shapes = eqx.filter_eval_shape(run, *args)
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype) if isinstance(s, jax.ShapeDtypeStruct) else s, shapes)
    return zeros.empty()


def test_logs(model: Any, batch: Batch) -> Logs:
    return test(model, batch, jnp.zeros((), jnp.int32))[1]


def train_logs(model: Any, batch: Batch) -> Logs:
    return train(model, batch)[1]
