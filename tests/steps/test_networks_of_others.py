"""Networks that others wrote, with the words that they use: `inference`, `state`, `key`."""

import importlib
import sys
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import treegy as tg

pytestmark = pytest.mark.standard_promotion

RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 3, 32, 32)).astype("float32")
Y = RNG.integers(0, 5, 8)
CROSSENTROPY = tg.losses.SparseCategoricalCrossentropy(from_logits=True)
KEY = jax.random.key(0)

# The oldest Python for which there are such packages. Where they can be installed, no test is skipped.
SINCE = {"equimo": (3, 12), "jaxonmodels": (3, 13)}


def vision_transformer(drop: float = 0.0) -> Any:
    module = importlib.import_module("equimo.vision.models.vit")
    sizes = {"img_size": 32, "in_channels": 3, "dim": 16, "patch_size": 16, "num_heads": 2, "depths": [1]}
    return module.VisionTransformer(**sizes, num_classes=5, pos_drop_rate=drop, proj_drop=drop, key=KEY), None


def residual_network() -> Any:
    module = importlib.import_module("jaxonmodels.models.resnet")
    make = eqx.nn.make_with_state(module.ResNet)
    return make(module.BasicBlock, [1, 1, 1, 1], 5, False, 1, 64, None, KEY)


NETWORKS: dict[str, tuple[str, Callable[[], Any]]] = {
    "equimo's ViT": ("equimo", vision_transformer),
    "jaxonmodels' ResNet": ("jaxonmodels", residual_network),
}


def made(name: str) -> tuple[Any, Any]:
    package, make = NETWORKS[name]
    if sys.version_info < SINCE[package]:
        pytest.skip(f"{package} is there for Python {'.'.join(map(str, SINCE[package]))} and newer")
    return make()


def by_hand(net: Any, state: Any, training: bool) -> tuple[Any, Any]:
    """What the network gives for all images, called as its authors do."""
    net = net if training else eqx.nn.inference_mode(net)
    if state is None:
        # It has no dropout, so that its keys don't matter.
        call = lambda x, key: net(x, key=key, inference=not training)  # noqa: E731
        return jax.vmap(call)(X, jax.random.split(KEY, len(X))), None
    call = lambda x, state: net(x, state, inference=not training)  # noqa: E731
    return jax.vmap(call, in_axes=(0, None), out_axes=(0, None), axis_name="batch")(X, state)


def crossentropy(logits: Any) -> Any:
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, Y))


@pytest.mark.parametrize("name", NETWORKS)
def test_predicting_and_evaluating_are_those_of_its_inference_mode(name):
    net, state = made(name)
    model = tg.Model(net, state=state, loss=CROSSENTROPY)
    expected, _ = by_hand(net, state, training=False)
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-3, atol=1e-4)
    logs = model.evaluate(X, Y, verbose=0)
    assert logs["loss"] == pytest.approx(float(crossentropy(expected)), rel=1e-3)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_step_of_training_is_one_by_hand(name):
    net, state = made(name)
    model = tg.Model(net, state=state, loss=CROSSENTROPY, optimizer=optax.sgd(0.1))
    trained, history = model.fit(X, Y, batch_size=8, verbose=0)

    @eqx.filter_jit
    @eqx.filter_value_and_grad(has_aux=True)
    def step(net: Any, state: Any) -> Any:
        logits, state = by_hand(net, state, training=True)
        return crossentropy(logits), state

    (loss, after), grads = step(net, state)
    assert history["loss"][0] == pytest.approx(float(loss), rel=1e-3)
    expected = jax.tree.map(lambda p, g: p - 0.1 * g, eqx.filter(net, eqx.is_inexact_array), grads)
    for a, b in zip(jax.tree.leaves(trained.parameters), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-2, atol=1e-4)
    if state is not None:
        for a, b in zip(jax.tree.leaves(trained.state), jax.tree.leaves(after), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.skipif(sys.version_info < SINCE["equimo"], reason="equimo is there for Python 3.12 and newer")
def test_dropout_is_there_in_training_and_not_outside():
    net, _ = vision_transformer(drop=0.5)
    model = tg.Model(net, loss=CROSSENTROPY, optimizer=optax.sgd(0.0))
    np.testing.assert_array_equal(model.predict(X), model.predict(X))
    _, history = model.fit(X, Y, batch_size=8, epochs=3, verbose=0)
    assert len(set(history["loss"])) == 3, "each step has masks of its own"
    assert model.evaluate(X, Y, verbose=0)["loss"] not in history["loss"]
