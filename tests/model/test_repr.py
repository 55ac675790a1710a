"""What models, states, losses, metrics and optimizers print as: short, and all that was asked for."""

import dataclasses
import inspect
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import treegy as tg
from helpers.every_loss_and_metric import CLASSES

pytestmark = pytest.mark.once

SCREEN = 24  # lines


def needs_nothing(cls):
    if cls is tg.metrics.PanopticQuality:
        return False  # it needs categories of one of two kinds
    parameters = inspect.signature(cls).parameters.values()
    return all(p.default is not p.empty for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL))


def model(depth: int = 2, **arguments: Any) -> tg.Model[Any]:
    given: dict[str, Any] = {"metrics": tg.metrics.Accuracy(), "optimizer": optax.sgd(1e-3, momentum=0.9)}
    return tg.Model(
        eqx.nn.MLP(8, 2, 16, depth, key=jax.random.key(0)),
        loss=tg.losses.SparseCategoricalCrossentropy(from_logits=True),
        **{**given, **arguments},
    )


def fitted(model):
    x = np.zeros((8, 8), "float32")
    return model.fit(x, np.zeros(8, int), epochs=1, verbose=0)


@pytest.mark.parametrize("depth", [1, 64])
def test_a_trained_model_fits_on_a_screen_however_deep_it_is(depth):
    result = fitted(model(depth))
    numbers = sum(a.size for a in jax.tree.leaves(eqx.filter(result.model.module, eqx.is_array)))
    text = repr(result.model)
    assert text == str(result.model)
    assert len(text.splitlines()) < SCREEN and all(len(line) <= 80 for line in text.splitlines())
    assert f"module=MLP({numbers:,} numbers in {2 * (depth + 1)} arrays)" in text
    for part in (
        "loss=SparseCategoricalCrossentropy(from_logits=True)",
        "metrics=Accuracy()",
        "optimizer=",
        "states=States(",
        "step=i32[]",
    ):
        assert part in text
    assert "_carried" not in text and "0x" not in text
    assert repr(result).startswith("Fitted(model=Model(")
    assert len(repr(result.model.states).splitlines()) < SCREEN
    # As well where another module holds it.
    holder = eqx.nn.Sequential([eqx.nn.Lambda(jnp.tanh)])
    assert len(repr((holder, result.model)).splitlines()) < SCREEN + 4
    assert "numbers in" in eqx.tree_pformat({"of": [result.model]})


def test_what_is_small_is_shown_as_equinox_shows_it():
    linear = eqx.nn.Linear(2, 3, key=jax.random.key(0))
    text = repr(tg.Model(linear, loss=tg.losses.MeanSquaredError()))
    assert "weight=f32[3,2]" in text
    assert "optimizer" not in text and "run_eagerly" not in text and "states" not in text


def test_fields_of_a_class_of_ones_own_are_shown():
    class WithMore(tg.Model):
        beta: float = 0.5
        other: object = None

    text = repr(WithMore(eqx.nn.Linear(2, 3, key=jax.random.key(0)), beta=0.25))
    assert text.startswith("WithMore(") and "beta=0.25" in text and "other" not in text


def test_no_metric_of_a_long_list_is_left_out():
    names = [name for name in "abcdefghijklmnop"]
    text = repr(model(metrics={name: tg.metrics.Accuracy(on=name) for name in names}))
    assert all(f"'{name}': Accuracy(" in text for name in names)


def test_an_optimizer_is_shown_with_its_rate():
    shown = repr(tg.Optimizer(optax.adamw, 1e-3, weight_decay=1e-4))
    assert shown == "Optimizer(<function adamw>, 0.001, weight_decay=0.0001)"
    assert repr(tg.Optimizer(optax.adam, jnp.array([1e-3, 1e-2]))) == "Optimizer(<function adam>, f32[2])"
    assert "<lambda>" in repr(tg.Optimizer(optax.adam, lambda step: 1e-3 / (step + 1)))


def test_a_model_is_shown_while_it_is_traced_and_after_its_arrays_are_gone():
    seen = []

    @eqx.filter_jit
    def traced(model):
        seen.append(repr(model))
        return model

    given = model(optimizer=tg.Optimizer(optax.adam, 1e-3))
    traced(given)
    assert "Optimizer(<function adam>, f32[])" in seen[0]
    gone = jax.tree.map(lambda leaf: leaf + 0 if eqx.is_array(leaf) else leaf, eqx.filter(given, eqx.is_inexact_array))
    gone = eqx.combine(gone, given)
    for leaf in jax.tree.leaves(eqx.filter(gone, eqx.is_inexact_array)):
        leaf.delete()
    assert "f32[]" in repr(gone)


@pytest.mark.parametrize(
    "cls",
    [cls for cls in CLASSES if needs_nothing(cls)],
    ids=lambda cls: f"{cls.__module__.split('.')[1]}.{cls.__name__}",
)
def test_losses_and_metrics_show_what_was_given(cls):
    made = cls()
    shown = repr(made)
    assert shown.startswith(f"{cls.__name__}(") and "on=" not in shown
    for field in dataclasses.fields(made):
        if field.default is not dataclasses.MISSING and isinstance(field.default, bool | int | float | str | None):
            assert f" {field.name}=" not in shown.replace("(", "( ")
