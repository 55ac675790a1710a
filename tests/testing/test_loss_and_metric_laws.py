"""The laws that every loss, metric and regularizer keeps.

A new class is tested by existing, and one that no data is known for fails.
"""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import treegy as tg
from helpers import run_script
from helpers.every_loss_and_metric import (
    CLASSES,
    NEEDED,
    NOT_NEGATIVE,
    OPTIONS,
    Data,
    N,
    data_for,
    fits,
    kind_of,
    make,
    variants,
)
from treegy._terms._accumulator import compute_all
from treegy.testing._subject import make_subject


def every() -> Any:
    """A test of all variants."""
    params = [pytest.param(cls, options, id="-".join([cls.__name__, *options])) for cls, options in variants()]
    return pytest.mark.parametrize("cls, options", params)


def test_the_package_is_walked():
    names = {cls.__name__ for cls in CLASSES}
    assert {"MeanSquaredError", "Accuracy", "GlobalL2", "Precision", "Mean", "ByGroup"} <= names
    assert set(NEEDED) <= names
    for name, several in OPTIONS.items():
        assert all(any(fits(options, cls) for cls in CLASSES if cls.__name__ == name) for options in several), name


@pytest.mark.once
@pytest.mark.parametrize(
    "cls",
    [
        # Those that are means of losses are the losses once more.
        pytest.param(cls, id=cls.__name__, marks=[pytest.mark.slow] if cls.__module__.endswith("_of_losses") else [])
        for cls in CLASSES
    ],
)
def test_laws(cls: Any, monkeypatch: pytest.MonkeyPatch):
    """All but that it is the same compiled and not: compiling each operation by itself takes longer than all else."""
    monkeypatch.setattr(cls, "exempt_from", {**cls.exempt_from, "jit": "see below"})
    check_laws(cls, {})


@pytest.mark.slow
@every()
def test_all_laws_with_all_options(cls: Any, options: Data):
    check_laws(cls, options)


def check_laws(cls: Any, options: Data) -> None:
    thing, data = make(cls, options), data_for(cls)
    if not isinstance(thing, tg.Loss):
        tg.testing.check_metric(thing, **data)
        return
    numbers = tuple(c for c in (0.0, 1.0, 1e-30, 1e4, -1e4) if c >= 0 or kind_of(cls) not in NOT_NEGATIVE)
    tg.testing.check_loss(thing, extremes=numbers, **data)


def test_few_are_exempt_and_for_a_reason():
    exempt = {cls.__name__ for cls in CLASSES if cls.exempt_from}
    assert exempt == {
        *("Circle", "Cox", "NTXent", "InfoNCE", "SigLIP", "SupervisedContrastive", "MMD"),
        *("VICReg", "BarlowTwins"),
        *("EmbeddingRecallAtK", "EmbeddingMeanAveragePrecision"),
        *("Bootstrap", "Running"),
    }
    assert all(reason for cls in CLASSES for reason in cls.exempt_from.values())


# The gradient that a critic has at a point of half precision is of half precision itself.
IN_HALF_PRECISION = {"GradientPenalty"}


@pytest.mark.slow
@every()
@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_half_precision_is_accumulated_in_float32(cls: Any, options: Data, dtype: Any):
    def halved(a: jax.Array) -> jax.Array:
        return a.astype(dtype) if jnp.issubdtype(a.dtype, jnp.floating) else a

    kind = "loss" if issubclass(cls, tg.Loss) else "metric"
    data = jax.tree.map(halved, data_for(cls))
    it = make_subject(kind, make(cls, options), data)
    weight = jnp.ones(N, dtype) if it.size else None
    accumulators = it.of(it.examples, weight)
    assert {leaf.dtype for leaf in jax.tree.leaves(accumulators)} <= {jnp.dtype("float32"), jnp.dtype("int32")}
    got = compute_all(accumulators)
    # The very same numbers, computed in single precision from the beginning.
    exact = jax.tree.map(lambda a: a.astype(jnp.float32) if a.dtype == dtype else a, data)
    it = make_subject(kind, make(cls, options), exact)
    expected = it.metric_values(it.examples, None if weight is None else weight.astype(jnp.float32))
    assert jax.tree.map(lambda a: a.dtype, got) == jax.tree.map(lambda a: a.dtype, expected)
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        rtol = float(jnp.finfo(dtype).eps) if cls.__name__ in IN_HALF_PRECISION else 1e-6
        np.testing.assert_allclose(one, other, rtol=rtol)


def trace_all() -> None:
    """Trace each once."""
    weight = jnp.ones(N, jnp.float32)
    for cls, options in variants():
        it = make_subject("loss" if issubclass(cls, tg.Loss) else "metric", make(cls, options), data_for(cls))
        values = jax.eval_shape(
            lambda weight, it=it: it.metric_values(it.examples, weight if it.size else None), weight
        )
        assert jax.tree.leaves(values), cls
    print(len(variants()), "were traced")


HOOKED = """
import sys
from jaxtyping import install_import_hook
sys.path.insert(0, sys.argv[1])
with install_import_hook("treegy", "beartype.beartype"):
    import test_loss_and_metric_laws
    test_loss_and_metric_laws.trace_all()
"""


@pytest.mark.once
def test_annotations_are_true():
    """Under the import hook, by which annotations that are wrong fail."""
    done = run_script(HOOKED, str(Path(__file__).parent))
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[0]) == len(variants())


def figures_on(place: Any) -> Any:
    """The values of every loss and metric of examples placed so, all by one program: compiling is what takes time."""
    subjects = {
        f"{cls.__module__}.{cls.__name__}{options}": (
            make_subject("loss" if issubclass(cls, tg.Loss) else "metric", make(cls, options), data_for(cls, 16))
        )
        for cls, options in variants()
    }
    weight = jnp.asarray(np.arange(16) % 3, jnp.float32)

    def figures(examples: Any, weight: Any) -> Any:
        return {who: it.metric_values(examples[who], weight if it.size else None) for who, it in subjects.items()}

    placed = jax.device_put(({who: it.examples for who, it in subjects.items()}, weight), place)
    return jax.jit(figures)(*placed)


def compare_devices() -> None:
    """What is said of test_one_device_is_eight; run in a process that has eight."""
    mesh = jax.sharding.Mesh(np.array(jax.devices()), "batch")
    assert mesh.size == 8
    one = figures_on(jax.devices()[0])
    eight = figures_on(jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("batch")))
    for who in one:
        for (path, figure), other in zip(
            jax.tree_util.tree_leaves_with_path(one[who]), jax.tree.leaves(eight[who]), strict=True
        ):
            assert len(figure.devices()) == 1 and len(other.devices()) == 8
            np.testing.assert_allclose(other, figure, rtol=1e-5, atol=1e-6, err_msg=f"{who} {path}")
    print(len(one), "are the same")


COMPARING = """
import sys
sys.path.insert(0, sys.argv[1])
import test_loss_and_metric_laws
test_loss_and_metric_laws.compare_devices()
"""


@pytest.mark.slow
def test_one_device_is_eight():
    done = run_script(COMPARING, str(Path(__file__).parent), devices=8)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[0]) == len(variants())


def test_a_class_without_data_fails():
    class Unheard(tg.Loss):
        def call(self, y_pred: Any) -> Any:
            return y_pred

    with pytest.raises(pytest.fail.Exception, match="No data is known for Unheard"):
        kind_of(Unheard)
