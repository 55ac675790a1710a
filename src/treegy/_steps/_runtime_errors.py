"""What `eqx.error_if` raises, with the words that it was given.

Equinox sees to that in `eqx.filter_jit`, which treegy's chunks don't go through.
"""

import contextlib
import logging
import re
from collections.abc import Generator

import equinox as eqx
import jax

_MESSAGE = re.compile(r"EquinoxRuntimeError: (.*?)(?:\n\s*\n|\n-{4}|\Z)", re.DOTALL)


@contextlib.contextmanager
def as_written() -> Generator[None]:
    """Raise an error of `eqx.error_if` as `eqx.filter_jit` does: with its message, and without JAX's report of it."""
    logger = logging.getLogger("jax._src.callback")
    logger.addFilter(_is_news)
    try:
        yield
    except (jax.errors.JaxRuntimeError, ValueError) as error:
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
