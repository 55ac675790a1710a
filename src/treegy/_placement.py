"""Where JAX computes."""

from typing import Any

import jax

from ._spread import is_spread, spread
from ._types import PyTree


def default_device() -> Any:
    """Return the device of what isn't put anywhere in particular."""
    # `jax.default_backend` knows nothing of `with jax.default_device(...)`.
    device: Any = getattr(jax.config, "jax_default_device", None)
    if device is None:
        return jax.local_devices()[0]
    return jax.local_devices(backend=device)[0] if isinstance(device, str) else device


def placed_like(like: PyTree, array: PyTree) -> PyTree:
    """`array` on the devices of `like`, spread over them in the same way, if somebody has put that there."""
    # Else it is put where it is needed: bound to one device it could not be used together with what is on several.
    if is_spread(like):
        return spread(array, like.sharding)
    return jax.device_put(array, like.sharding) if isinstance(like, jax.Array) and like.committed else array
