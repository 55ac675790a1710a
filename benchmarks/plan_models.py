"""The GPTs that `plan.py` plans, as shapes: no array of them is ever made."""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import treegy as tg


@dataclasses.dataclass(frozen=True)
class Size:
    """How large a GPT is, and what it is trained on."""

    width: int
    heads: int
    layers: int
    words: int
    length: int
    """Tokens of an example."""
    batch: int
    """Examples of a batch, over all devices."""

    @property
    def tokens(self) -> int:
        return self.batch * self.length

    @property
    def multiplied(self) -> int:
        """Return how many parameters a token is multiplied with: those of the blocks and of the head."""
        return self.layers * 12 * self.width**2 + self.width * self.words

    @property
    def flops(self) -> float:
        """Return the floating point operations of a step: forward and backward, and nothing twice.

        Six for each parameter and token, and those of the attention's two products, of which both have the whole
        square of positions.
        """
        return self.tokens * (6.0 * self.multiplied + 12.0 * self.layers * self.width * self.length)


SIZES = {
    "gpt-tiny": Size(width=64, heads=4, layers=3, words=128, length=16, batch=16),
    "gpt-84m": Size(width=1024, heads=16, layers=4, words=16_384, length=256, batch=256),
    "gpt-7b": Size(width=4096, heads=32, layers=32, words=32_768, length=1024, batch=512),
}


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


def strategy_of(name: str, shards: int) -> Any:
    """Return a strategy over all devices there are.

    **Arguments:**

    - `shards`: into how many parts parameters are split by `two-axes`.
    """
    if name == "data":
        return tg.parallel.DataParallel()
    if name == "fsdp":
        return tg.parallel.FSDP()
    if name != "two-axes":
        raise ValueError(f"there is no strategy {name!r}; there are 'data', 'fsdp' and 'two-axes'.")
    n = jax.device_count()
    shards = min(shards, n)
    mesh = jax.make_mesh((n // shards, shards), ("replica", "shard"))

    def rule(path: str, shape: tuple[int, ...]) -> PartitionSpec | None:
        # Layers are scanned over: they aren't split along their first axis.
        axes = [i for i, k in enumerate(shape) if k % shards == 0 and not (i == 0 and path.startswith(".blocks"))]
        if not axes or jnp.size(jax.ShapeDtypeStruct(shape, jnp.float32)) < 2**14:
            return None
        return PartitionSpec(*[None] * max(axes, key=lambda i: shape[i]), "shard")

    return tg.parallel.Layout(mesh, batch=("replica", "shard"), rule=rule)


def model_of(size: Size, strategy: Any, microbatches: int, bfloat16: bool) -> Callable[[], tg.Model]:
    """Return a function that makes the model, distributed and ready to be trained."""

    def make() -> tg.Model:
        model = tg.Model(
            GPT(size, strategy.mesh, jax.random.key(0)),
            loss=tg.losses.SparseCategoricalCrossentropy(from_logits=True),
            optimizer=optax.adam(1e-3),
            microbatches=microbatches,
            dtype_policy=tg.DTypePolicy(compute=jnp.bfloat16) if bfloat16 else None,
        )
        tokens = np.zeros((1, size.length), np.int32)
        return model.distributed(strategy).init(tokens, tokens)

    return make
