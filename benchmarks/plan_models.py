"""The GPTs that `plan.py` plans, as shapes: no array of them is ever made."""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from plan_sizes import Size

import treegy as tg


class Block(eqx.Module):
    attention: eqx.nn.MultiheadAttention
    mlp: eqx.nn.MLP
    norms: tuple[eqx.nn.LayerNorm, eqx.nn.LayerNorm]

    def __init__(self, size: Size, key: Any):
        a, b = jax.random.split(key)
        self.attention = eqx.nn.MultiheadAttention(size.heads, size.width, key=a)
        self.mlp = eqx.nn.MLP(size.width, size.width, 4 * size.width, 1, activation=jax.nn.gelu, key=b)
        self.norms = eqx.nn.LayerNorm(size.width), eqx.nn.LayerNorm(size.width)

    def __call__(self, x: Any) -> Any:
        before = jax.vmap(self.norms[0])(x)
        mask = jnp.tril(jnp.ones((len(x), len(x)), bool))
        x = x + self.attention(before, before, before, mask=mask)
        return x + jax.vmap(self.mlp)(jax.vmap(self.norms[1])(x))


class GPT(eqx.Module):
    """Its layers are one block with stacked parameters, scanned over, and computed again for the gradient."""

    embedding: eqx.nn.Embedding
    positions: Any
    blocks: Block
    head: eqx.nn.Linear
    mesh: Mesh = eqx.field(static=True)

    def __init__(self, size: Size, mesh: Mesh, key: Any):
        a, b, c, d = jax.random.split(key, 4)
        self.embedding = eqx.nn.Embedding(size.words, size.width, key=a)
        self.positions = 0.02 * jax.random.normal(b, (size.length, size.width))
        self.blocks = eqx.filter_vmap(lambda key: Block(size, key))(jax.random.split(c, size.layers))
        self.head = eqx.nn.Linear(size.width, size.words, use_bias=False, key=d)
        self.mesh = mesh

    def __call__(self, x: Any) -> Any:
        layers, rest = eqx.partition(self.blocks, eqx.is_array)

        @jax.checkpoint
        def layer(x: Any, parameters: Any) -> tuple[Any, None]:
            return self._whole(eqx.combine(parameters, rest)(x)), None

        x = self._whole(jax.vmap(self.embedding)(x) + self.positions)
        return jax.vmap(self.head)(jax.lax.scan(layer, x, layers)[0])

    def _whole(self, x: Any) -> Any:
        """An example's activations are on one device: without a word about it, the compiler may split them."""
        return jax.lax.with_sharding_constraint(x, NamedSharding(self.mesh, PartitionSpec()))


def strategy_of(name: str, devices: list[Any], shards: int) -> Any:
    """Return a strategy.

    **Arguments:**

    - `devices`: those that it is over.
    - `shards`: into how many parts parameters are split by `two-axes`.
    """
    if name == "data":
        return tg.parallel.DataParallel(Mesh(np.asarray(devices), ("data",)))
    if name == "fsdp":
        return tg.parallel.FSDP(Mesh(np.asarray(devices), ("data",)))
    shards = min(shards, len(devices))
    mesh = Mesh(np.asarray(devices).reshape(-1, shards), ("replica", "shard"))

    def rule(path: str, shape: tuple[int, ...]) -> PartitionSpec | None:
        # Layers are scanned over: they aren't split along their first axis.
        axes = [i for i, k in enumerate(shape) if k % shards == 0 and not (i == 0 and path.startswith(".blocks"))]
        if not axes or math.prod(shape) < 2**14:
            return None
        return PartitionSpec(*[None] * max(axes, key=lambda i: shape[i]), "shard")

    return tg.parallel.Layout(mesh, batch=("replica", "shard"), rule=rule)


def model_of(size: Size, strategy: Any, microbatches: int) -> Callable[[], tg.Model]:
    """Return a function that makes the model, distributed and ready to be trained."""

    def make() -> tg.Model:
        model = tg.Model(
            GPT(size, strategy.mesh, jax.random.key(0)),
            loss=tg.losses.SparseCategoricalCrossentropy(from_logits=True),
            optimizer=optax.adam(1e-3),
            microbatches=microbatches,
        )
        tokens = np.zeros((1, size.length), np.int32)
        return model.distributed(strategy).init(tokens, tokens)

    return make
