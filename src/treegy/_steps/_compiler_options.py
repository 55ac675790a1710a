"""What treegy tells XLA when it compiles steps and chunks of them."""

from typing import Any

import jax

from .._types import Function

# For the CPU; others don't look at them.
OPTIONS: dict[str, Any] = {
    # A loop would copy an array in every step if it is read after its successor is there, as weights are in the
    # backward pass. XLA looks closer if told so.
    "xla_cpu_copy_insertion_use_region_analysis": True,
    # What is given to YNNPACK: by default these and convolutions, whose gradients take up to three times as long there.
    "xla_cpu_experimental_ynn_fusion_type": ",".join(
        f"LIBRARY_FUSION_TYPE_{what}" for what in ("DOT", "REDUCE", "INDIVIDUAL_DOT")
    ),
}


def compiled(fn: Function, donates_first: bool = False) -> Any:
    """Return `fn`, jitted with these options."""
    return jax.jit(fn, donate_argnums=(0,) if donates_first else (), compiler_options=dict(OPTIONS) or None)


def dropped_unknown(error: Exception) -> bool:
    """Whether a program could not be compiled for an option that XLA doesn't have, or not any more.

    It is told no such option again. What was called is to be compiled, and called, once more: nothing has happened, and
    nothing was donated.
    """
    unknown = [name for name in OPTIONS if name in str(error)]
    for name in unknown:
        del OPTIONS[name]
    return bool(unknown)
