"""What looks wrong about the values that losses and metrics read, though nothing can be said for sure."""

import contextlib
import warnings

import equinox as eqx
import jax
import jax.numpy as jnp

from .._describe import is_arraylike, path_name
from .._model._model import Model
from .._steps._defaults import for_terms
from .._terms._accumulator import Mean
from .._terms._naming import named_terms
from .._terms._read import arguments_of, read
from .._terms._reduce import parts
from .._terms._term import Context, Term, make_term, size_of
from .._types import PyTree
from ..metrics._wrappers._by_group import ByGroup
from ..metrics._wrappers._wrapper import Wrapper
from ._coarse import coarse
from ._declared_predictions import meant_by
from ._value_checks import judged, seen_of


def doubts(model: Model[PyTree], x: PyTree, y: PyTree = None, sample_weight: PyTree = None) -> list[str]:
    """Return what looks wrong about the values that the losses and metrics of a model read on some data.

    It is for looking at a model once: training looks at nothing, and what is out of range changes no results. Examples
    of weight 0 aren't looked at. Of losses and metrics, wrapped ones and functions of this package among them, it says:

    - where predictions or labels are NaN;
    - where predictions aren't what is meant, such as logits where probabilities are: these don't lie outside of [0, 1],
      and logits seldom all lie within it; distributions over classes sum to 1;
    - where values compare each example with each, since labels `(batch,)` are broadcast against `(batch, 1)`;
    - where labels are out of range: class indices that aren't from 0 to $C - 1$, or -1 and 1 instead of 0 and 1;
    - where the groups of a [`treegy.metrics.ByGroup`][] are out of range;
    - where weights are 0, 1, 2, ... as indices are, which the third part of a batch `(x, y, sample_weight)` isn't;
    - where the thresholds of a metric such as [`treegy.metrics.AUC`][] are too far apart for where predictions lie, so
        that those of positive and negative labels can't be told apart.

    What is meant follows from the class attribute `predictions` and from options such as `from_logits`, `threshold` and
    `ignore_class`. A loss or metric of your own says it, too, by one of

    - `"probabilities"`: of class 1, or of each of several classes. Labels are from 0 to 1, or class indices;
    - `"distributions"`: probabilities that sum to 1 over the last axis, or over `axis`;
    - `"logits"`: of what has the labels of probabilities; a field `from_logits` says so as well;
    - `"scores"`: any numbers, of which the largest is the predicted class. Labels are those of probabilities;
    - `"margins"`: any numbers, with labels of -1 or 1, or of 0 or 1;
    - `"indices"`: class indices, as the labels are;
    - `"rates"`: as the labels, not negative.

    **Arguments:**

    - `model`: a model that has its module.
    - `x`, `y`, `sample_weight`: a batch, as for [`treegy.Model.test_on_batch`][].

    **Returns:**

    A sentence for each doubt. None, if all is well.

    !!! example

        ```python
        import equinox as eqx
        import jax
        import jax.numpy as jnp
        import treegy as tg

        network = eqx.nn.Linear(3, 4, key=jax.random.key(0))
        model = tg.Model(network, loss=tg.losses.SparseCategoricalCrossentropy(name="it"))
        for doubt in tg.debug.doubts(model, 3 * jnp.eye(3), jnp.array([1, 2, 4])):
            print(doubt)
        ```

        ```text
        loss `it_loss` (SparseCategoricalCrossentropy.call) takes probabilities, and `y_pred` ... are these logits? ...
        loss `it_loss` (SparseCategoricalCrossentropy.call) takes class indices from 0 to 3, and `y_true` ...
        ```
    """
    values = {"x": x, "y_true": y, "y_pred": model.predict_on_batch(x), "sample_weight": sample_weight}
    values = {name: jax.tree.map(lambda a: jnp.asarray(a) if is_arraylike(a) else a, v) for name, v in values.items()}
    given = {name: value for name, value in values.items() if value is not None}
    states = model.states.update(rng=jax.random.key(0))
    available = for_terms({}, None, None, states, False, False, model.module)
    context = Context({**available, **given}, size_of(given), values["sample_weight"])
    return _about_weights(values["sample_weight"]) + [
        doubt for terms in named_terms(model.loss, model.metrics) for term in terms for doubt in _doubts(term, context)
    ]


def _about_weights(sample_weight: PyTree) -> list[str]:
    leaves = jax.tree_util.tree_leaves_with_path(sample_weight)
    return [
        f"`sample_weight{path_name(path)}` counts {int(leaf[0])}, {int(leaf[1])}, {int(leaf[2])}, ... from one example "
        "to the next: are these indices or ids? The third part of a batch `(x, y, sample_weight)` is a weight."
        for path, leaf in leaves
        if is_arraylike(leaf) and leaf.ndim == 1 and len(leaf) > 2 and bool(jnp.all(jnp.diff(leaf) == 1))
    ]


def _doubts(term: Term, context: Context) -> list[str]:
    reading = read(term, context)
    arguments, weight = arguments_of(term, reading), reading.weight
    if isinstance(term.thing, Wrapper):
        inner = make_term(term.kind, term.thing.metric, term.name)
        own = _about_groups(term.who, term.thing, context) if isinstance(term.thing, ByGroup) else []
        return own + _doubts(inner, Context(arguments, context.size, weight))
    seen = {name: seen_of(name, arguments.get(name), weight) for name in ("y_pred", "y_true")}
    meant = meant_by(term.thing)
    found = list(judged(meant, seen["y_pred"], seen["y_true"]))
    # What isn't meant at all needn't be told apart.
    found = found or list(coarse(meant, seen["y_pred"], seen["y_true"]))
    return [f"{term.who} {doubt}" for doubt in found] + _told(term, context)


def _about_groups(who: str, metric: PyTree, context: Context) -> list[str]:
    labels, weight = metric._labels(context), context.sample_weight
    if is_arraylike(weight) and weight.ndim == 1:
        labels = labels[weight != 0]
    if not labels.size or (labels.min() >= 0 and labels.max() < metric.num_groups):
        return []
    consequence = "all its metric values are NaN" if metric.check_bounds else "some examples are in no group"
    found = f"`by` gives numbers from {labels.min()} to {labels.max()}"
    return [f"{who} has groups from 0 to {metric.num_groups - 1}, and {found}: {consequence}."]


def _told(term: Term, context: Context) -> list[str]:
    """Return what a loss or metric is warned of while it is traced, such as labels that are broadcast."""
    with warnings.catch_warnings(record=True) as told, contextlib.suppress(Exception):
        warnings.simplefilter("always")
        # What it raises will be raised in a step, too.
        eqx.filter_eval_shape(lambda context: parts(term, context, Mean.of), context)
    return [str(warning.message) for warning in told if str(warning.message).startswith(term.who)]
