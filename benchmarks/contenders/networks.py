"""The networks in Equinox, for treegy and for the loops without it."""

import equinox as eqx
import jax
import jax.numpy as jnp
from workloads import Conv, Dense


class Network(eqx.Module):
    """Layers with ReLUs in between; the last one, on what is flattened, gives the logits."""

    layers: list[eqx.nn.Linear | eqx.nn.Conv2d]

    def __call__(self, x: jax.Array) -> jax.Array:
        for layer in self.layers[:-1]:
            x = jax.nn.relu(layer(x))
        return self.layers[-1](x.reshape(-1))


def equinox_network(layers: list[Dense | Conv]) -> Network:
    return Network([_layer(layer) for layer in layers])


def _layer(layer: Dense | Conv) -> eqx.nn.Linear | eqx.nn.Conv2d:
    key = jax.random.key(0)
    weight, bias = jnp.asarray(layer.weight), jnp.asarray(layer.bias)
    if isinstance(layer, Dense):
        made = eqx.nn.Linear(weight.shape[1], weight.shape[0], key=key)
    else:
        channels_in = weight.shape[1] * layer.groups
        made = eqx.nn.Conv2d(channels_in, weight.shape[0], weight.shape[2], layer.stride, groups=layer.groups, key=key)
        bias = bias[:, None, None]
    return eqx.tree_at(lambda m: (m.weight, m.bias), made, (weight, bias))
