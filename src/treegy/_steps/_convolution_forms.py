"""Convolutions in groups on the CPU, as something else that computes the same.

XLA:CPU has fast kernels for convolutions without groups only. Those in groups take ten to a hundred times as long as
what they compute would. Each form here takes a convolution whose dimensions come in the order of `_convolutions.py`,
and keeps groups apart: what isn't finite in one of them doesn't reach another.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

# At most, of what makes programs long: products that are summed up for an element of the output, places of a kernel
# whose gradient is summed up, convolutions that take the place of one.
_PRODUCTS, _PLACES, _GROUPS = 128, 16, 32
# Of so few multiplications, more would be lost by compiling a form than many steps of it save.
_LEAST = 1_000_000
# Of a group with more input channels, an ordinary convolution is the faster one.
_CHANNELS = 8
# A sum over examples and space is taken over so many parts of the examples at first, which are elementwise sums.
_PARTS = 8


class Convolution(NamedTuple):
    """What there is to know of a convolution: shapes, and the parameters of `jax.lax.conv_general_dilated`."""

    lhs: tuple[int, ...]
    """`(batch, *space, channels)`"""
    rhs: tuple[int, ...]
    """`(*kernel, channels of a group, outputs)`"""
    out: tuple[int, ...]
    """`(batch, *space, outputs)`"""
    dtypes: tuple[Any, ...]
    params: dict[str, Any]

    @property
    def groups(self) -> int:
        """How many groups of channels there are."""
        return self.params["feature_group_count"]

    @property
    def batch_groups(self) -> int:
        """How many groups of examples there are, as in gradients of kernels."""
        return self.params["batch_group_count"]

    def of_channels(self, lhs: tuple[int, ...]) -> "Convolution":
        """Return that of groups of channels which computes what this one of groups of examples does.

        **Arguments:**

        - `lhs`: the shape of its input.
        """
        # JAX allows only one of the two to be more than one.
        changed = {"feature_group_count": self.groups * self.batch_groups, "batch_group_count": 1}
        return self._replace(lhs=lhs, params=self.params | changed)


Form = Callable[[Any, Any, Convolution], jax.Array]


def form_of(conv: Convolution) -> Form | None:
    """Return what computes such a convolution faster than XLA's kernel for it; `None` where nothing does."""
    is_real = all(jnp.issubdtype(dtype, jnp.floating) for dtype in conv.dtypes)
    if not is_real or math.prod(conv.out) * math.prod(conv.rhs[:-1]) < max(_LEAST, 1):
        return None
    if conv.batch_groups > 1:
        if conv.lhs[0] == conv.batch_groups:
            return sums_of_products if math.prod(conv.out[1:-1]) <= _PLACES else None
        return by_group if conv.batch_groups <= _GROUPS else None
    if conv.groups > 1:
        channels = conv.rhs[-2]
        if channels <= _CHANNELS and channels * math.prod(conv.rhs[:-2]) <= _PRODUCTS:
            return products_of_shifts
        return by_group if 1 < channels and conv.groups <= _GROUPS else None
    return None


def products_of_shifts(lhs: Any, rhs: Any, conv: Convolution) -> jax.Array:
    """The sum, over the places of the kernel, of the shifted input times what the kernel has there.

    For few channels a group, one of them in depthwise convolutions. All of it is one elementwise loop.
    """
    space, channels = conv.out[1:-1], conv.rhs[-2]
    padded = _padded(lhs, conv).reshape(lhs.shape[0], *_padded_space(conv), conv.groups, channels)
    kernel = _wide(rhs).reshape(*conv.rhs[:-2], channels, conv.groups, -1)
    strides, dilation = conv.params["window_strides"], conv.params["rhs_dilation"]
    total: Any = None
    for place in np.ndindex(*conv.rhs[:-2]):
        shifted = _window(padded, [p * d for p, d in zip(place, dilation, strict=True)], space, strides)
        for i in range(channels):
            product = shifted[..., i, None] * jnp.expand_dims(kernel[place][i], range(len(space) + 1))
            total = product if total is None else total + product
    return total.reshape(conv.out)


def sums_of_products(lhs: Any, rhs: Any, conv: Convolution) -> jax.Array:
    """The gradient of a depthwise kernel: at each of its places, a sum over examples and space of products.

    What a convolution takes for its batch are channels here, and its channels are the examples: `lhs` and `rhs` come as
    `(examples, *space, channels)`. Such a sum is slow in XLA, as the order of additions is fixed and only neighbours in
    memory are added at once: so it begins with parts of the examples, which are added elementwise, and ends as a
    product with ones.
    """
    examples, space = lhs.shape[0], rhs.shape[1:-1]
    parts = _PARTS if examples > _PARTS else 1
    inputs, grads = _padded(lhs, conv, -examples % parts), _wide(rhs)
    grads = jax.lax.pad(grads, jnp.zeros((), grads.dtype), [(0, -examples % parts, 0), *[(0, 0, 0)] * (grads.ndim - 1)])
    grads = grads.reshape(*grads.shape[:-1], inputs.shape[-1], -1)
    of_parts = list(zip(jnp.split(inputs[..., None], parts), jnp.split(grads, parts), strict=True))
    strides, dilation = conv.params["window_strides"], conv.params["rhs_dilation"]

    def at(place: Sequence[int]) -> jax.Array:
        start = [p * s for p, s in zip(place, strides, strict=True)]
        products = [_window(x, start, space, dilation) * g for x, g in of_parts]
        rows = jnp.reshape(sum(products[1:], products[0]), (-1, conv.out[-1]))
        # Not one with the sum that follows, which would make it a slow one again.
        return jnp.ones((rows.shape[0],), rows.dtype) @ jax.lax.optimization_barrier(rows)

    return jnp.stack([at(place) for place in np.ndindex(*conv.out[1:-1])]).reshape(conv.out)


def by_group(lhs: Any, rhs: Any, conv: Convolution) -> jax.Array:
    """A convolution without groups for each group."""
    axis, groups = (-1, conv.groups) if conv.groups > 1 else (0, conv.batch_groups)
    params = conv.params | {"feature_group_count": 1, "batch_group_count": 1}
    parts = zip(jnp.split(lhs, groups, axis), jnp.split(rhs, groups, -1), strict=True)
    return jnp.concatenate([jax.lax.conv_general_dilated_p.bind(x, w, **params) for x, w in parts], -1)


def apart(form: Callable[[Any, Any], Any], lhs: Any, rhs: Any) -> Any:
    """Return what a form does, compiled apart from what comes before and after it.

    As all in it is elementwise, XLA would compute it with whatever uses the result, each time again, and with it what
    it is made of. Barriers are gone when it decides so; a condition of which it can't know that it always holds isn't.
    """
    bits = jax.lax.bitcast_convert_type(lhs[(0,) * lhs.ndim].astype(jnp.float32), jnp.int32)
    shape = jax.eval_shape(form, lhs, rhs)
    never = lambda lhs, rhs: jnp.zeros(shape.shape, shape.dtype)  # noqa: E731
    return jax.lax.cond(jax.lax.population_count(bits) >= 0, form, never, lhs, rhs)


def _padded(lhs: Any, conv: Convolution, examples: int = 0) -> Any:
    """Return the input with its padding, and with zeros between elements where it is dilated.

    **Arguments:**

    - `examples`: how many of zeros to add.
    """
    dilated = zip(conv.params["padding"], conv.params["lhs_dilation"], strict=True)
    config = [(0, examples, 0), *((low, high, d - 1) for (low, high), d in dilated), (0, 0, 0)]
    padded = jax.lax.pad(_wide(lhs), jnp.zeros((), _wide_dtype(lhs)), config)
    # Once, and not with every shift again.
    return jax.lax.optimization_barrier(padded)


def _padded_space(conv: Convolution) -> Iterator[int]:
    sizes = zip(conv.lhs[1:-1], conv.params["padding"], conv.params["lhs_dilation"], strict=True)
    return ((n - 1) * d + 1 + low + high for n, (low, high), d in sizes)


def _window(array: Any, start: Sequence[int], sizes: Sequence[int], strides: Sequence[int]) -> Any:
    """Return every so many elements along the axes of space, which come second, from `start` on."""
    after = array.ndim - 1 - len(sizes)
    stop = [a + (n - 1) * s + 1 for a, n, s in zip(start, sizes, strides, strict=True)]
    starts, stops = [0, *start, *(0,) * after], [array.shape[0], *stop, *array.shape[array.ndim - after :]]
    return jax.lax.slice(array, starts, stops, [1, *strides, *(1,) * after])


def _wide(array: Any) -> Any:
    """Return what is summed up in float32 at least."""
    return array.astype(_wide_dtype(array))


def _wide_dtype(array: Any) -> Any:
    return array.dtype if jnp.finfo(array.dtype).bits >= 32 else jnp.float32
