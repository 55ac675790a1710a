"""What `eqx.error_if` raises, with the words that it was given; and what is raised when another process is gone.

Equinox sees to that in `eqx.filter_jit`, which treegy's chunks don't go through.
"""

import contextlib
import logging
import re
from collections.abc import Generator

import equinox as eqx
import jax

from .._errors import ProcessError

_MESSAGE = re.compile(r"EquinoxRuntimeError: (.*?)(?:\n\s*\n|\n-{4}|\Z)", re.DOTALL)


# What JAX's collectives and its coordination service say when a process doesn't answer any more.
_LOST = re.compile(
    r"gloo|heartbeat|connection (reset|closed|refused)|socket closed|broken pipe|UNAVAILABLE|coordination service|"
    r"remote process|task.{0,40}(died|unhealthy|failed)",
    re.IGNORECASE,
)
_SHOWN = 200


def _lost(text: str) -> str:
    return (
        "another process of this run is gone: it has ended, was killed, or its machine doesn't answer, and this one "
        "can't go on without it. What it printed last says why. JAX says: "
        f"{text.strip().partition(chr(10))[0]:.{_SHOWN}}"
    )


@contextlib.contextmanager
def as_written() -> Generator[None]:
    """Raise an error of `eqx.error_if` as `eqx.filter_jit` does: with its message, and without JAX's report of it."""
    logger = logging.getLogger("jax._src.callback")
    logger.addFilter(_is_news)
    try:
        yield
    except (jax.errors.JaxRuntimeError, ValueError) as error:
        if isinstance(error, jax.errors.JaxRuntimeError) and jax.process_count() > 1 and _LOST.search(str(error)):
            raise ProcessError(_lost(str(error))) from None
        found = None if isinstance(error, eqx.EquinoxRuntimeError) else _MESSAGE.search(str(error))
        if found is None:
            raise
        raise eqx.EquinoxRuntimeError(found[1]) from None
    except RuntimeError as error:
        if "has been deleted" in str(error):
            error.add_note(
                "Of the model or the data, there is an array that was donated to a compiled function, or deleted by "
                "`delete()`: use what that function returned, or compile it without `donate`."
            )
        raise
    finally:
        logger.removeFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    return record.getMessage() != "jax.pure_callback failed"
