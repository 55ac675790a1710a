"""What happens around a step, whoever calls it: its key, its logs, its counter, and what it made of the states.

The same driver serves the compiled chunks of `fit`, `evaluate` and `predict` and the `*_on_batch` methods.
"""

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from .._data._batch import Batch
from .._data._mistaken_batches import batches_explained
from .._describe import listed
from .._sharding._placing import everywhere
from .._terms._logs import StepLogs, lifted
from .._types import PyTree
from ._assembly import with_states
from ._divided import told_unless_divided
from ._evaluated import states_to_evaluate
from ._forward import size_of_batch
from ._homes import at_home, split
from ._keys import INIT, PRED, TEST, of_step, streamed
from ._model_like import M, ModelLike
from ._stacks import check_per_model
from ._states import States
from ._structure import settled


class Seen(eqx.Module):
    """What `test_on_batch` has accumulated since `reset_metrics`."""

    logs: StepLogs
    batches: ArrayLike


def train(model: M, batch: Batch) -> tuple[M, StepLogs]:
    """One training step: the model after it and the accumulators of this batch."""
    check_per_model(None, batch)
    before, batch = model.states, split(model, batch)
    inner = of_step(before)
    with batches_explained("x", batch.x, batch.y_true), told_unless_divided(model):
        logs, after = model.call_train_step(**_given(batch), states=inner, initializing=False, training=True)
    after = settled("train_step", before, after)
    if before.get("step") is not None:
        after = after.update(step=before.step + 1)
    model = at_home(with_states(model, after), before=model)
    return model, everywhere(StepLogs.of(lifted("train_step", logs, _size(batch))), model.strategy)


def test(model: M, batch: Batch, index: ArrayLike) -> tuple[M, StepLogs]:
    """One evaluation step, the `index`-th of its run."""
    check_per_model(None, batch)
    before, batch = model.states, split(model, batch)
    inner = states_to_evaluate(before)
    with batches_explained("x", batch.x, batch.y_true):
        _, logs, after = model.call_test_step(
            **_given(batch), states=streamed(inner, TEST, index), initializing=False, training=False
        )
    after = settled("test_step", before, _trained_again(before, inner, after))
    model = at_home(with_states(model, after), before=model)
    return model, everywhere(StepLogs.of(lifted("test_step", logs, _size(batch))), model.strategy)


def predict(model: M, x: PyTree, index: ArrayLike) -> tuple[M, PyTree]:
    """One prediction step, the `index`-th of its run: the model after it and `y_pred`."""
    check_per_model(None, x)
    before, x = model.states, split(model, Batch(x)).x
    inner = states_to_evaluate(before)
    with batches_explained("x", x):
        y_pred, after = model.call_pred_step(
            x=x, states=streamed(inner, PRED, index), initializing=False, training=False
        )
    after = settled("pred_step", before, _trained_again(before, inner, after))
    return at_home(with_states(model, after), before=model), y_pred


def _trained_again(before: States, inner: States, after: States) -> States:
    """Return the states after a step in which the parameters are those that are trained, not those to evaluate at."""
    return after if inner is before else after.update(net_params=before.net_params)


def _given(batch: Batch) -> dict[str, PyTree]:
    return batch._asdict()


def _size(batch: Batch) -> int:
    return size_of_batch(batch.x, batch.y_true, batch.sample_weight) or 1


# The programs behind the public methods: module-level, so that compiling one serves every model of the same structure.


def train_on_batch(model: M, batch: Batch) -> tuple[M, dict[str, Array]]:
    model, logs = train(model, batch)
    return model, logs.compute()


def test_on_batch(model: M, batch: Batch) -> tuple[M, dict[str, Array]]:
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


def predict_on_batch(model: ModelLike, batch: Batch) -> tuple[None, PyTree]:
    return None, predict(model, batch.x, 0)[1]


def initialize(model: ModelLike, kind: str, batch: Batch) -> States:
    """Return the states after the step of this kind has run while `initializing`, with their root key."""
    before, given = model.states, _given(batch)
    states = streamed(before, INIT, 0)
    with batches_explained("x", batch.x, batch.y_true):
        if kind == "pred":
            _, after = model.call_pred_step(x=batch.x, states=states, initializing=True, training=False)
        elif kind == "test":
            _, _, after = model.call_test_step(**given, states=states, initializing=True, training=False)
        else:
            after = model.call_init_step(**given, states=states)
    return after if before.get("rng") is None else after.update(rng=before.rng)


def test_logs(model: ModelLike, batch: Batch) -> StepLogs:
    return test(model, batch, jnp.zeros((), jnp.int32))[1]


def train_logs(model: ModelLike, batch: Batch) -> StepLogs:
    return train(model, batch)[1]
