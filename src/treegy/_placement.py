"""Where JAX computes."""

from typing import Any

import jax


def default_device() -> Any:
    """The device of what isn't put anywhere in particular."""
    # `jax.default_backend` knows nothing of `with jax.default_device(...)`.
    device: Any = getattr(jax.config, "jax_default_device", None)
    if device is None:
        return jax.local_devices()[0]
    return jax.local_devices(backend=device)[0] if isinstance(device, str) else device
