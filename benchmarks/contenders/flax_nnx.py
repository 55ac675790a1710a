"""Flax NNX: the loop of its documentation, with `nnx.jit` and `nnx.MultiMetric`."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from workloads import Conv, Dense, Work

from . import Contender
from .channels_last import as_channels_last, flattened_channels_last, knows


class Network(nnx.Module):
    def __init__(self, layers: list[Dense | Conv]):
        self.layers = nnx.List([_layer(layer) for layer in layers])

    def __call__(self, x: Any) -> Any:
        for layer in self.layers[:-1]:
            x = nnx.relu(layer(x))
        return self.layers[-1](x.reshape(x.shape[0], -1))


def _layer(layer: Dense | Conv) -> nnx.Linear | nnx.Conv:
    rngs = nnx.Rngs(0)
    if isinstance(layer, Dense):
        made = nnx.Linear(layer.weight.shape[1], layer.weight.shape[0], rngs=rngs)
        made.kernel[...] = jnp.asarray(layer.weight.T)
    else:
        channels_out, in_group, *size = layer.weight.shape
        made = nnx.Conv(
            in_group * layer.groups,
            channels_out,
            size,
            layer.stride,
            padding="VALID",
            feature_group_count=layer.groups,
            rngs=rngs,
        )
        made.kernel[...] = jnp.asarray(layer.weight.transpose(2, 3, 1, 0))
    made.bias[...] = jnp.asarray(layer.bias)
    return made


def loss_and_logits(network: Network, x: Any, y: Any) -> tuple[Any, Any]:
    logits = network(x)
    return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean(), logits


@nnx.jit
def train_step(network: Network, optimizer: nnx.Optimizer, metrics: nnx.MultiMetric, x: Any, y: Any) -> None:
    (loss, logits), grads = nnx.value_and_grad(loss_and_logits, has_aux=True)(network, x, y)
    metrics.update(loss=loss, logits=logits, labels=y)
    optimizer.update(network, grads)


@nnx.jit
def test_step(network: Network, metrics: nnx.MultiMetric, x: Any, y: Any) -> None:
    loss, logits = loss_and_logits(network, x, y)
    metrics.update(loss=loss, logits=logits, labels=y)


@nnx.jit
def predict_step(network: Network, x: Any) -> Any:
    return network(x)


class Nnx(Contender):
    def __init__(self, work: Work):
        super().__init__(work)
        self.network = Network(flattened_channels_last(work.layers, work.x.shape[1:]))
        self.optimizer = nnx.Optimizer(self.network, optax.adam(work.learning_rate), wrt=nnx.Param)
        self.metrics = nnx.MultiMetric(loss=nnx.metrics.Average("loss"), accuracy=nnx.metrics.Accuracy())
        self.x = as_channels_last(work.x)
        self.initial = jax.tree.map(jnp.copy, nnx.state((self.network, self.optimizer)))

    @classmethod
    def does(cls, work: Work) -> bool:
        return work.source == "arrays" and knows(work.layers)

    def reset(self) -> None:
        nnx.update((self.network, self.optimizer), jax.tree.map(jnp.copy, self.initial))

    def fit(self) -> float:
        work = self.work
        self.network.train()
        self.metrics.reset()
        for start in range(0, len(work.y), work.batch_size):
            picked = work.order[start : start + work.batch_size]
            train_step(self.network, self.optimizer, self.metrics, self.x[picked], work.y[picked])
        logs = {name: float(value) for name, value in self.metrics.compute().items()}
        jax.block_until_ready(nnx.state(self.network))
        return logs["loss"]

    def evaluate(self) -> tuple[float, float]:
        work = self.work
        self.network.eval()
        self.metrics.reset()
        for start in range(0, len(work.y), work.batch_size):
            stop = start + work.batch_size
            test_step(self.network, self.metrics, self.x[start:stop], work.y[start:stop])
        logs = {name: float(value) for name, value in self.metrics.compute().items()}
        return logs["loss"], logs["accuracy"]

    def predict(self) -> Any:
        self.network.eval()
        size = self.work.batch_size
        batches = [self.x[start : start + size] for start in range(0, len(self.x), size)]
        return np.concatenate([predict_step(self.network, x) for x in batches])

    def logits(self, x: np.ndarray) -> Any:
        return self.network(as_channels_last(x))
