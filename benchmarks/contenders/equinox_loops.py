"""What people write with Equinox and Optax: loops without treegy."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from workloads import Conv, Work

from . import Contender
from .networks import Network, equinox_network


def loss_and_accuracy(network: Network, x: Any, y: Any) -> tuple[Any, Any]:
    logits = jax.vmap(network)(x)
    loss = optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()
    return loss, jnp.mean(jnp.argmax(logits, axis=1) == y)


def train(network: Network, opt_state: Any, x: Any, y: Any, optimizer: Any) -> tuple[Network, Any, Any, Any]:
    (loss, accuracy), grads = eqx.filter_value_and_grad(loss_and_accuracy, has_aux=True)(network, x, y)
    updates, opt_state = optimizer.update(grads, opt_state, eqx.filter(network, eqx.is_inexact_array))
    return eqx.apply_updates(network, updates), opt_state, loss, accuracy


class HandWritten(Contender):
    """The loop of Equinox's documentation: `eqx.filter_jit` a step, NumPy batches, loss and accuracy logged."""

    def __init__(self, work: Work):
        super().__init__(work)
        self.initial = self.network = equinox_network(work.layers)
        self.optimizer = optax.adam(work.learning_rate)

        @eqx.filter_jit
        def train_step(network: Network, opt_state: Any, x: Any, y: Any) -> Any:
            return train(network, opt_state, x, y, self.optimizer)

        self.train_step = train_step
        self.test_step = eqx.filter_jit(loss_and_accuracy)
        self.predict_step = eqx.filter_jit(lambda network, x: jax.vmap(network)(x))

    def reset(self) -> None:
        self.network = self.initial

    def fit(self) -> float:
        network = self.network
        opt_state = self.optimizer.init(eqx.filter(network, eqx.is_inexact_array))
        losses, accuracies, sizes = [], [], []
        for x, y in self.work.batches():
            network, opt_state, loss, accuracy = self.train_step(network, opt_state, x, y)
            losses.append(loss)
            accuracies.append(accuracy)
            sizes.append(len(y))
        self.network = network
        _mean(accuracies, sizes)
        return _mean(losses, sizes)

    def evaluate(self) -> tuple[float, float]:
        losses, accuracies, sizes = [], [], []
        for x, y in self.work.slices():
            loss, accuracy = self.test_step(self.network, x, y)
            losses.append(loss)
            accuracies.append(accuracy)
            sizes.append(len(y))
        return _mean(losses, sizes), _mean(accuracies, sizes)

    def predict(self) -> Any:
        return np.concatenate([np.asarray(self.predict_step(self.network, x)) for x, _ in self.work.slices()])

    def logits(self, x: np.ndarray) -> Any:
        return jax.vmap(self.network)(x)


class Flat(HandWritten):
    """The same with little overhead: `jax.jit` over flattened leaves, which are donated."""

    def __init__(self, work: Work):
        super().__init__(work)
        opt_state = eqx.filter_eval_shape(self.optimizer.init, eqx.filter(self.initial, eqx.is_inexact_array))
        self.join = _joining((self.initial, opt_state))

        def train_step(leaves: list[Any], x: Any, y: Any) -> Any:
            *carried, loss, accuracy = train(*self.join(leaves), x, y, self.optimizer)
            return jax.tree.leaves(eqx.filter(carried, eqx.is_array)), loss, accuracy

        network_of = _joining(self.initial)
        self.train_step = jax.jit(train_step, donate_argnums=0)
        self.test_step = jax.jit(lambda leaves, x, y: loss_and_accuracy(network_of(leaves), x, y))
        self.predict_step = jax.jit(lambda leaves, x: jax.vmap(network_of(leaves))(x))

    def fit(self) -> float:
        losses, accuracies, sizes = [], [], []
        leaves = self.start()
        for x, y in self.work.batches():
            leaves, loss, accuracy = self.train_step(leaves, x, y)
            losses.append(loss)
            accuracies.append(accuracy)
            sizes.append(len(y))
        self.network = self.join(jax.block_until_ready(leaves))[0]
        _mean(accuracies, sizes)
        return _mean(losses, sizes)

    def start(self) -> list[Any]:
        """What is carried, in arrays that may be donated."""
        opt_state = self.optimizer.init(eqx.filter(self.network, eqx.is_inexact_array))
        arrays = jax.tree.leaves(eqx.filter((self.network, opt_state), eqx.is_array))
        return [jnp.copy(a) for a in arrays]

    def evaluate(self) -> tuple[float, float]:
        leaves = jax.tree.leaves(eqx.filter(self.network, eqx.is_array))
        losses, accuracies, sizes = [], [], []
        for x, y in self.work.slices():
            loss, accuracy = self.test_step(leaves, x, y)
            losses.append(loss)
            accuracies.append(accuracy)
            sizes.append(len(y))
        return _mean(losses, sizes), _mean(accuracies, sizes)

    def predict(self) -> Any:
        leaves = jax.tree.leaves(eqx.filter(self.network, eqx.is_array))
        return np.concatenate([self.predict_step(leaves, x) for x, _ in self.work.slices()])


class Scan(Flat):
    """One `lax.scan` over the epoch, whose batches lie on the device in their order; nothing is logged.

    About the limit of what can be reached. Not with convolutions, which XLA runs slowly in loops on the CPU.
    """

    def __init__(self, work: Work):
        super().__init__(work)
        x, y = work.ordered
        self.x = jnp.asarray(x.reshape(work.steps, work.batch_size, *x.shape[1:]))
        self.y = jnp.asarray(y.reshape(work.steps, work.batch_size))

        def epoch(leaves: list[Any], x: Any, y: Any) -> list[Any]:
            def step(leaves: list[Any], batch: tuple[Any, Any]) -> tuple[list[Any], None]:
                *carried, _, _ = train(*self.join(leaves), *batch, self.optimizer)
                return jax.tree.leaves(eqx.filter(carried, eqx.is_array)), None

            return jax.lax.scan(step, leaves, (x, y))[0]

        self.epoch = jax.jit(epoch, donate_argnums=0)

    @classmethod
    def does(cls, work: Work) -> bool:
        whole = len(work.y) % work.batch_size == 0
        loops = any(isinstance(layer, Conv) for layer in work.layers) and jax.default_backend() == "cpu"
        return work.task == "fit" and work.source == "arrays" and whole and not loops

    def fit(self) -> float:
        leaves = jax.block_until_ready(self.epoch(self.start(), self.x, self.y))
        self.network = self.join(leaves)[0]
        return float("nan")


def _joining(tree: Any) -> Callable[[list[Any]], Any]:
    """What makes a tree like this one of other arrays."""
    is_array = lambda leaf: eqx.is_array(leaf) or isinstance(leaf, jax.ShapeDtypeStruct)  # noqa: E731
    arrays, others = eqx.partition(tree, is_array)
    structure = jax.tree.structure(arrays)
    return lambda leaves: eqx.combine(jax.tree.unflatten(structure, leaves), others)


def _mean(values: list[Any], sizes: list[int]) -> float:
    return float(np.average([float(v) for v in values], weights=sizes))
