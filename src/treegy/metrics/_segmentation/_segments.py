"""The segments of an image: pixels of the same category and instance."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int


class Segments(NamedTuple):
    """The segments of an image, numbered."""

    of_pixels: Int[Array, "pixels"]
    """The number of the segment of each pixel."""
    category: Int[Array, "segments"]
    """Which of the categories each segment is of, by its place among them; how many there are where it is void, or
    where there is no segment of this number."""
    too_many: Bool[Array, ""]
    """Whether there are more segments than numbers."""
    unknown: Bool[Array, ""]
    """Whether there are pixels of none of the categories."""


def segments(values: Int[Array, "pixels 2"], categories: tuple[int, ...], things: int, most: int) -> Segments:
    """Return the segments of an image.

    **Arguments:**

    - `values`: the category and the instance of each pixel.
    - `categories`: all that there are, things first.
    - `things`: how many of them are things, whose instances are told apart.
    - `most`: how many segments are numbered.
    """
    known = values[:, :1] == jnp.asarray(categories, values.dtype)[None]
    unknown = ~jnp.any(known, axis=1)
    category = jnp.where(unknown, len(categories), jnp.argmax(known, axis=1)).astype(jnp.int32)
    instance = jnp.where(category < things, values[:, 1], 0)
    # Pixels of a segment lie beside each other in this order, whatever numbers instances have.
    order = jnp.lexsort((instance, category))
    category_there, instance_there = category[order], instance[order]
    first = (category_there[1:] != category_there[:-1]) | (instance_there[1:] != instance_there[:-1])
    number = jnp.concatenate([jnp.zeros(1, jnp.int32), jnp.cumsum(first, dtype=jnp.int32)])
    of_segments = jnp.full(most, len(categories), jnp.int32).at[number].set(category_there, mode="drop")
    of_pixels = jnp.zeros_like(number).at[order].set(number)
    return Segments(of_pixels, of_segments, number[-1] >= most, jnp.any(unknown))
