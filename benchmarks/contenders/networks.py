"""The networks in Equinox, for treegy and for the loops without it."""

import equinox as eqx
import jax
import jax.numpy as jnp
from workloads import Dense, Layer, Mean


class MeanOverImage(eqx.Module):
    def __call__(self, x: jax.Array) -> jax.Array:
        return jnp.mean(x, axis=(1, 2))


class Network(eqx.Module):
    """Layers with ReLUs in between; the last one, on what is flattened, gives the logits."""

    layers: list[eqx.nn.Linear | eqx.nn.Conv2d | MeanOverImage]

    def __call__(self, x: jax.Array) -> jax.Array:
        for layer in self.layers[:-1]:
            x = jax.nn.relu(layer(x))
        return self.layers[-1](x.reshape(-1))


def equinox_network(layers: list[Layer]) -> Network:
    return Network([_layer(layer) for layer in layers])


def _layer(layer: Layer) -> eqx.nn.Linear | eqx.nn.Conv2d | MeanOverImage:
    if isinstance(layer, Mean):
        return MeanOverImage()
    key = jax.random.key(0)
    weight, bias = jnp.asarray(layer.weight), jnp.asarray(layer.bias)
    if isinstance(layer, Dense):
        made = eqx.nn.Linear(weight.shape[1], weight.shape[0], key=key)
    else:
        channels_in = weight.shape[1] * layer.groups
        size, stride, padding, groups = weight.shape[2], layer.stride, layer.padding, layer.groups
        made = eqx.nn.Conv2d(channels_in, weight.shape[0], size, stride, padding, groups=groups, key=key)
        bias = bias[:, None, None]
    return eqx.tree_at(lambda m: (m.weight, m.bias), made, (weight, bias))
