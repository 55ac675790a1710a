"""How steps and chunks are compiled: what makes them faster changes no result."""

import re
from collections.abc import Generator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import treegy as tg
from helpers import numbers
from treegy._loop import _chunk_program
from treegy._steps import _compiler_options, _single_steps
from treegy._steps._convolutions import channels_last

X = numbers(22, 3)
SGD = optax.sgd(0.05, momentum=0.9)


def run() -> Any:
    net = eqx.nn.MLP(3, 3, 5, 2, key=jax.random.key(0))
    model = tg.Model(net, loss=tg.losses.MeanSquaredError(), optimizer=SGD)
    model, history = model.fit(X, X[:, ::-1].copy(), batch_size=5, epochs=2, verbose=0)
    logs = model.evaluate(X, X, batch_size=5, verbose=0)
    model, step_logs = model.train_on_batch(X, X)
    logs |= {f"step {name}": float(value) for name, value in step_logs.items()}
    return [np.asarray(a).tobytes() for a in jax.tree.leaves(model.parameters)], dict(history), logs


def clear() -> None:
    _chunk_program.program.cache_clear()
    _single_steps.program.cache_clear()


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> Generator[dict[str, Any]]:
    """Those that chunks are compiled with, to be changed."""
    changed = dict(_compiler_options.OPTIONS)
    monkeypatch.setattr(_compiler_options, "OPTIONS", changed)
    clear()
    yield changed
    clear()


def test_options_change_not_a_bit(options):
    expected = run()
    options.clear()
    clear()
    assert run() == expected


def test_options_that_there_are_not(options):
    """As where a later XLA has dropped them, or a value of one: chunks are compiled without these."""
    expected, known = run(), dict(options)
    options["xla_cpu_that_was_dropped"] = True
    options["xla_cpu_experimental_xnn_fusion_type"] = "LIBRARY_FUSION_TYPE_DROPPED"
    clear()
    assert run() == expected
    assert options == known


def test_the_options_are_there_now():
    before = dict(_compiler_options.OPTIONS)
    run()
    assert _compiler_options.OPTIONS == before


def test_no_convolution_is_given_to_another_library(options):
    """It would be in a fusion, as some of these are if XLA isn't told otherwise."""

    def total(x: jax.Array, kernel: jax.Array) -> jax.Array:
        numbers = ("NHWC", "HWIO", "NHWC")
        return jnp.sum(jax.lax.conv_general_dilated(x, kernel, (2, 2), "VALID", dimension_numbers=numbers) ** 2)

    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(64, 13, 13, 16)), "float32")
    kernel = jnp.asarray(rng.normal(size=(3, 3, 16, 32)), "float32")
    gradient = jax.jit(channels_last(jax.grad(total, (0, 1)))).lower(x, kernel)

    def compiled(options: dict[str, Any]) -> tuple[int, Any]:
        """How many convolutions are in fusions, and what is computed."""
        program = gradient.compile(compiler_options=options)
        *fusions, entry = re.split(r"\n(?=%|ENTRY )", str(program.as_text()))
        within, outside = (part.count(" convolution(") for part in ("".join(fusions), entry))
        assert within + outside == 3
        return within, program(x, kernel)

    (usual, expected), (told, got) = compiled({}), compiled(dict(options))
    assert usual > 0 and told == 0
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-2)
