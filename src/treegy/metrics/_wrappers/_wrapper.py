"""What metrics that wrap another one have in common: they request its arguments, and forward the context to it."""

import abc

import jax.numpy as jnp
from jaxtyping import Array

from ..._describe import describe
from ..._injection._inject import Request
from ..._terms._accumulator import Accumulator, Mean
from ..._terms._metric import Metric
from ..._terms._naming import default_name
from ..._terms._read import Reading, read
from ..._terms._reduce import as_weight, parts
from ..._terms._term import OF_EXAMPLES, Asking, Context, Term, is_term_object, make_term, size_of
from ..._terms._weights import as_summand, lined_up
from ..._types import PyTree


class Wrapper(Metric):
    """The base class of metrics that are made of another one: of its accumulators, and in no way special to it."""

    metric: PyTree
    """A metric, or a function that could be one; a loss as well, whose values are averaged."""

    def __check_init__(self) -> None:
        check_wrapped(type(self).__name__, self.metric)

    @abc.abstractmethod
    def _over(self, context: Context) -> dict[str, Accumulator]:
        """The accumulators of a batch: by part for a metric of several, under `""` otherwise."""

    def call(self, **values: PyTree) -> PyTree:
        """What is made of the wrapped metric: an accumulator, or a dict of them for one of several parts."""
        return self._asking().run(Context(values, size_of(values), values.get("sample_weight")))

    def _asked(self) -> Request:
        """What is asked for besides what the wrapped metric asks for."""
        return NOTHING

    def _asking(self) -> Asking:
        def run(context: Context) -> PyTree:
            found = self._over(context)
            return found[""] if list(found) == [""] else found

        own, asked = self._term().asking.request, self._asked()
        optional = (name for name in asked.names if name not in asked.required)
        wanted = own.joined((), ("sample_weight",)).joined(asked.required, optional)
        return Asking(type(self).__name__, wanted, run)

    def _term(self) -> Term:
        return make_term("metric", self.metric, default_name("metric", self.metric))


NOTHING = Request((), frozenset(), ())


def check_wrapped(who: str, metric: object) -> None:
    """Refuse what can't be a metric."""
    expected = "a metric such as `tg.metrics.MeanSquaredError()`, or a function, is expected"
    if isinstance(metric, type):
        raise TypeError(
            f"`{who}` got the class `{metric.__name__}`, and {expected}. Make an instance of it: `{metric.__name__}()`."
        )
    if not (callable(metric) or is_term_object(metric)):
        raise TypeError(f"`{who}` got {describe(metric)}, and {expected}.")


def check_weighs(who: str, metric: PyTree) -> None:
    """Refuse a metric that weights don't reach, since it isn't about examples."""
    check_wrapped(who, metric)
    wanted = make_term("metric", metric, "").asking.request
    if not any(name in wanted for name in (*OF_EXAMPLES, "sample_weight")):
        raise ValueError(
            f"`{who}` weights examples, and its metric `{default_name('metric', metric)}` is about none: it asks for "
            f"{', '.join(wanted.names) or 'nothing'}, and not for any of {', '.join(OF_EXAMPLES)} or sample_weight."
        )


def parts_of(term: Term, context: Context) -> dict[str, Accumulator]:
    """The accumulators of the wrapped metric."""
    return parts(term, context, Mean.of)


def reweighted(term: Term, context: Context, factor: Array) -> dict[str, Accumulator]:
    """The accumulators of the wrapped metric, with the weights times `factor`: 0 removes, as a weight of 0 does."""
    reading = read(term, context)
    return parts(term, context, Mean.of, reading.weighing(term, weights_times(term, reading, factor)))


def weights_times(term: Term, reading: Reading, factor: Array) -> Array:
    """The weights that the wrapped metric reads, 1 where none were given, times `factor`.

    They line up with the leading axes of `factor`, or it with those of theirs.
    """
    given = reading.weight
    if given is None:
        return factor.astype(jnp.float32)
    # Booleans and integers, too, are multiplied as numbers.
    weight = as_summand(as_weight(term.who, given))
    factor = factor.astype(weight.dtype)
    if factor.ndim <= weight.ndim:
        factor = lined_up(factor, weight, "the weights of the wrapper")
    else:
        weight = lined_up(weight, factor, "sample_weight")
    return jnp.where(factor != 0, weight * factor, jnp.zeros_like(weight * factor))
