"""The spans of sequences of tags: which begin where, and where they end."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from ..._describe import describe

Tags = tuple[str, ...]


def _as_tags(tags: object) -> Any:
    if isinstance(tags, str) or not isinstance(tags, list | tuple):
        raise TypeError(f"`tags` is a list of the tags, whose place is their id, and got {describe(tags)}.")
    for tag in tags:
        if not isinstance(tag, str) or (tag != "O" and not (tag[:2] in ("B-", "I-") and len(tag) > 2)):
            raise ValueError(f'`tags` are like "O", "B-place" and "I-place", and among them is {describe(tag)}.')
    if len(set(tags)) < len(tags) or not kinds_of(tuple(tags)):
        raise ValueError(f"`tags` are different from each other, some other than `O`, and got {describe(tags)}.")
    return tuple(tags)


as_tags: Callable[[Any], Tags] = _as_tags


def kinds_of(tags: Tags) -> tuple[str, ...]:
    """Return the kinds of spans, in the order in which tags have them."""
    return tuple(dict.fromkeys(tag[2:] for tag in tags if tag != "O"))


class Spans(NamedTuple):
    """The spans that sequences have, each at the place where it begins."""

    kind: Int[Array, "batch length"]
    begins: Bool[Array, "batch length"]
    end: Int[Array, "batch length"]
    """The last place of the span that is there."""


def spans(ids: Int[Array, "batch length"], tags: Tags) -> Spans:
    """Return the spans of tags; an id that is none of them is in no span.

    A span of a kind begins with `B-`, or with an `I-` that doesn't continue one of the same kind, and it ends before
    the next that does so or isn't of its kind.
    """
    kinds = kinds_of(tags)
    of_tag = jnp.asarray([-1 if tag == "O" else kinds.index(tag[2:]) for tag in tags], jnp.int32)
    inside_tag = jnp.asarray([tag.startswith("I-") for tag in tags])
    known = (ids >= 0) & (ids < len(tags))
    at = jnp.where(known, ids, 0)
    kind = jnp.where(known, of_tag[at], -1)
    edge = jnp.full_like(kind[:, :1], -1)
    before = jnp.concatenate([edge, kind[:, :-1]], axis=1)
    begins = (kind >= 0) & ~(known & inside_tag[at] & (kind == before))
    # A place is the last of its span where the next isn't of it: of another kind, or where a span begins.
    after = jnp.concatenate([kind[:, 1:], edge], axis=1)
    begins_after = jnp.concatenate([begins[:, 1:], jnp.ones_like(begins[:, :1])], axis=1)
    last = (kind != after) | begins_after
    place = jax.lax.broadcasted_iota(jnp.int32, ids.shape, 1)
    end = jax.lax.cummin(jnp.where(last, place, ids.shape[1]), axis=1, reverse=True)
    return Spans(kind, begins, end)
