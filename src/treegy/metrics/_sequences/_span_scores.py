"""Precision, recall and F1 of the spans of sequences of tags."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._describe import array_name
from ..._errors import ContractError
from ..._terms._accumulator import Sum
from ..._terms._weights import weigh
from .._accumulators._shared import Derived, Source, source
from .._accumulators._value_of import ValueOf
from .._classification._averages import Average, as_average, as_zero_division, ratio
from ._spans import Tags, as_tags, kinds_of, spans
from ._tokens import Tokens, at_front, scored, unless_unknown


def counts_of_spans(y_true: Array, y_pred: Array, sample_weight: Array | None, *, tags: Tags) -> Sum:
    """Return how many spans of each kind are right, predicted, and there: `(3, kinds)`."""
    ids, unknown = scored(y_true, "y_true")
    predicted, unknown_too = scored(y_pred, "y_pred")
    if ids.shape != predicted.shape:
        raise ContractError(
            f"`y_true` {array_name(y_true)} and `y_pred` {array_name(y_pred)} must have a tag for each place: "
            "(batch, length) both, or scores of tags (batch, length, tags) for `y_pred`."
        )
    if y_pred.ndim == 3 and y_pred.shape[-1] != len(tags):
        raise ContractError(f"`y_pred` {array_name(y_pred)} has scores of {y_pred.shape[-1]} tags, not {len(tags)}.")
    # Both without the places that have no label, so that spans continue across them.
    labeled = ids >= 0
    there = at_front(ids, labeled, unknown)
    found = at_front(predicted, labeled, unknown_too)
    outside = jnp.any((there.ids >= len(tags)) | (found.present & (found.ids >= len(tags))), axis=1)
    counts = jnp.where(outside[:, None, None], jnp.nan, _counts(there, found, tags))
    return Sum(jnp.sum(weigh(counts, sample_weight)[0], axis=0))


def _counts(there: Tokens, found: Tokens, tags: Tags) -> Float[Array, "batch 3 kinds"]:
    true, predicted = spans(there.ids, tags), spans(found.ids, tags)
    both = true.begins & predicted.begins & (true.kind == predicted.kind) & (true.end == predicted.end)
    kinds = jnp.arange(len(kinds_of(tags)))
    counts = [
        jnp.sum(which[:, :, None] & (kind[:, :, None] == kinds[None, None]), axis=1, dtype=jnp.int32)
        for which, kind in ((both, true.kind), (predicted.begins, predicted.kind), (true.begins, true.kind))
    ]
    return unless_unknown(jnp.stack(counts, axis=1), there, found)


class OfSpans(Derived):
    """A metric value of counts of spans, which metrics of the same tags share."""

    tags: Tags = eqx.field(static=True, converter=as_tags)
    """The tags, each at the place that is its id: `"O"` outside of spans, and `"B-"` and `"I-"` with a kind."""
    average: Average = eqx.field(default="micro", kw_only=True, static=True, converter=as_average)
    """`"micro"` counts spans of all kinds together, `"macro"` is the mean over kinds, `"weighted"` that weighted by how
    many there are of each, and `None` gives a value of each, in the order of `tags`."""
    zero_division: float = eqx.field(default=0.0, kw_only=True, static=True, converter=as_zero_division)
    """What a ratio is whose denominator is 0: 0, 1 or NaN, which is left out of means."""

    def _source(self, y_true: Array, y_pred: Array) -> Source:
        return source(counts_of_spans, tags=self.tags)

    def _options(self) -> dict[str, Any]:
        return {"average": self.average, "zero_division": self.zero_division}


class SpanF1(OfSpans):
    r"""The harmonic mean of precision and recall of spans, $2 TP / (N + M)$ for $TP$ spans that are right, of $N$
    predicted and $M$ that are there: the F-score of named entities.

    A span is right if its kind, its beginning and its end are. It begins with a tag `B-`, or with an `I-` that
    continues none of its kind, as in the CoNLL evaluation and by default in seqeval; any other tag ends it.

    **Accepts:** ids of `tags`, integers `y_true` and `y_pred` `(batch, length)`, or scores `y_pred`
    `(batch, length, tags)` of a floating dtype, of which the first largest is predicted. Where `y_true` is below 0, as
    at padding or at the later pieces of a word, there is no place at all, whatever is predicted there. An id that is
    no tag, or a score that is NaN, makes the value NaN. A predicted id below 0 is in no span.

    **Raises:** `ValueError` or `TypeError` where `tags` aren't such tags. [`treegy.ContractError`][] where the shapes
    aren't these.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        f1 = tg.metrics.SpanF1(tags=["O", "B-person", "I-person", "B-place", "I-place"])
        y_true, y_pred = jnp.array([[1, 2, 0, 3, -1]]), jnp.array([[1, 2, 0, 1, 0]])
        assert float(f1(y_true, y_pred)) == 0.5
        ```

    ??? cite

        Tjong Kim Sang and De Meulder, *Introduction to the CoNLL-2003 Shared Task: Language-Independent Named Entity
        Recognition*, CoNLL 2003.
    """

    def _metric_value(self, accumulated: Sum) -> ValueOf:
        return ValueOf(accumulated, _f1, **self._options())


class SpanPrecision(OfSpans):
    r"""How many of the predicted spans are right, $TP / N$: of what [`treegy.metrics.SpanF1`][] counts.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        precision = tg.metrics.SpanPrecision(tags=["O", "B-name", "I-name"])
        assert float(precision(jnp.array([[1, 2, 0, 0]]), jnp.array([[1, 2, 0, 1]]))) == 0.5
        ```
    """

    def _metric_value(self, accumulated: Sum) -> ValueOf:
        return ValueOf(accumulated, _share, of=1, **self._options())


class SpanRecall(OfSpans):
    r"""How many of the spans that are there are predicted, $TP / M$: of what [`treegy.metrics.SpanF1`][] counts.

    !!! example

        ```python
        import jax.numpy as jnp
        import treegy as tg

        recall = tg.metrics.SpanRecall(tags=["O", "B-name", "I-name"])
        assert float(recall(jnp.array([[1, 2, 0, 1]]), jnp.array([[1, 2, 0, 0]]))) == 0.5
        ```
    """

    def _metric_value(self, accumulated: Sum) -> ValueOf:
        return ValueOf(accumulated, _share, of=2, **self._options())


def _f1(counts: Float[Array, "3 kinds"], average: Average, zero_division: float) -> Array:
    right, predicted, there = counts
    return ratio(2 * right, predicted + there, there, average, zero_division)


def _share(counts: Float[Array, "3 kinds"], of: int, average: Average, zero_division: float) -> Array:
    return ratio(counts[0], counts[of], counts[2], average, zero_division)
