"""What all tests share: JAX at its strictest, keys, and comparing PyTrees."""

import contextlib
import gc
import os
import tempfile
from collections.abc import Callable, Generator
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"  # read when Keras is imported

import equinox as eqx  # noqa: E402
import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

pytest.register_assert_rewrite("helpers")
pytest_plugins = ["every_raise"]

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

# Most of the time goes into compiling, and many tests compile the same. Each process has a cache of its own: JAX reads
# entries also while another one writes them.
_PROGRAMS = tempfile.TemporaryDirectory()
jax.config.update("jax_compilation_cache_dir", _PROGRAMS.name)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
# Nobody reads where in the source each operation comes from, which takes a tenth of the time of translating a program.
jax.config.update("jax_traceback_in_locations_limit", 0)
# A million objects live as long as the process: looking through them again and again takes a twentieth of the time.
gc.set_threshold(10_000, 20, 100)


def pytest_configure(config: pytest.Config):
    config.addinivalue_line(
        "markers",
        "standard_promotion: runs with JAX's own promotion of dtypes and ranks, for what strictness breaks in others' "
        "code (`optax.adam` adds a float to its integer count)",
    )
    config.addinivalue_line(
        "markers",
        "once: takes long and depends little on versions, such as values against references; `tox` runs it on one "
        "Python, and the others without it",
    )
    config.addinivalue_line(
        "markers",
        "slow: exhaustive, such as every byte of every file flipped; run by `tox -e slow`, and by no other environment",
    )
    config.addinivalue_line(
        "markers",
        "statements(*numbers): shows these statements of Elegy's guides, listed in `docs/from-elegy.md`",
    )


@contextlib.contextmanager
def _standard_promotion() -> Generator[None]:
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


@pytest.fixture(autouse=True)
def _promotion(request: pytest.FixtureRequest) -> Generator[None]:
    if request.node.get_closest_marker("standard_promotion") is None:
        yield
    else:
        with _standard_promotion():
            yield


@pytest.fixture(scope="session")
def standard_promotion() -> Callable[[], contextlib.AbstractContextManager[None]]:
    """A context in which JAX promotes as it does by default: for calls of libraries that rely on it."""
    return _standard_promotion


@pytest.fixture
def getkey() -> Callable[[], jax.Array]:
    """A function that gives another key each time, the same ones in each run."""
    count = iter(range(10**9))
    return lambda: jax.random.key(next(count))


@pytest.fixture(scope="session")
def tree_allclose() -> Callable[..., bool]:
    """Whether two PyTrees are of the same structure, types, shapes and dtypes, and nearly the same values.

    NaNs are equal. `rtol` and `atol` are those of `numpy.allclose`.
    """

    def compare(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-7) -> bool:
        leaves_a, structure_a = jax.tree.flatten(a)
        leaves_b, structure_b = jax.tree.flatten(b)
        return structure_a == structure_b and all(
            _leaf_allclose(x, y, rtol, atol) for x, y in zip(leaves_a, leaves_b, strict=True)
        )

    return compare


def _leaf_allclose(a: Any, b: Any, rtol: float, atol: float) -> bool:
    if eqx.is_array(a) or eqx.is_array(b):
        if not (isinstance(a, jax.Array) == isinstance(b, jax.Array)) or a.shape != b.shape or a.dtype != b.dtype:
            return False
        if jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
            a, b = jax.random.key_data(a), jax.random.key_data(b)
        x, y = np.asarray(a), np.asarray(b)
        if jnp.issubdtype(x.dtype, jnp.inexact) and not np.issubdtype(x.dtype, np.complexfloating):
            x, y = x.astype(np.float64), y.astype(np.float64)
        return bool(np.allclose(x, y, rtol=rtol, atol=atol, equal_nan=True))
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return bool(np.isclose(a, b, rtol=rtol, atol=atol, equal_nan=True))
    return bool(a == b)
