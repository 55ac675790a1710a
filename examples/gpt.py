"""A GPT of characters that writes descriptions of data sets: bfloat16, batches in parts, four devices, backups.

Needs `pip install "treegy[examples]"`; takes two minutes on a CPU. Run it again after you have stopped it, with
Ctrl-C or by killing it: it goes on where it was.
"""

from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import sklearn.datasets
from jaxtyping import Array, Float, Int, PRNGKeyArray

import treegy as tg

WIDTH, LAYERS, HEADS, TIME, EPOCHS = 64, 2, 4, 48, 8


def texts() -> str:
    """The descriptions of the data sets that scikit-learn ships."""
    folder = Path(sklearn.datasets.__file__).parent / "descr"
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.rst")))


class Block(eqx.Module):
    norm1: eqx.nn.LayerNorm
    attention: eqx.nn.MultiheadAttention
    norm2: eqx.nn.LayerNorm
    mlp: eqx.nn.MLP

    def __init__(self, key: PRNGKeyArray):
        key1, key2 = jax.random.split(key)
        self.norm1, self.norm2 = eqx.nn.LayerNorm(WIDTH), eqx.nn.LayerNorm(WIDTH)
        self.attention = eqx.nn.MultiheadAttention(HEADS, WIDTH, key=key1)
        self.mlp = eqx.nn.MLP(WIDTH, WIDTH, 4 * WIDTH, 1, activation=jax.nn.gelu, key=key2)

    def __call__(self, tokens: Float[Array, "time width"]) -> Float[Array, "time width"]:
        seen = jnp.tril(jnp.ones((len(tokens), len(tokens)), bool))
        normed = jax.vmap(self.norm1)(tokens)
        tokens = tokens + self.attention(normed, normed, normed, mask=seen)
        return tokens + jax.vmap(self.mlp)(jax.vmap(self.norm2)(tokens))


class GPT(eqx.Module):
    token: eqx.nn.Embedding
    place: eqx.nn.Embedding
    # The layers are stacked, and compiled once.
    blocks: Block
    norm: eqx.nn.LayerNorm
    head: eqx.nn.Linear

    def __init__(self, characters: int, key: PRNGKeyArray):
        keys = jax.random.split(key, 4)
        self.token = eqx.nn.Embedding(characters, WIDTH, key=keys[0])
        self.place = eqx.nn.Embedding(TIME, WIDTH, key=keys[1])
        self.blocks = eqx.filter_vmap(Block)(jax.random.split(keys[2], LAYERS))
        self.norm = eqx.nn.LayerNorm(WIDTH)
        self.head = eqx.nn.Linear(WIDTH, characters, key=keys[3])

    def __call__(self, ids: Int[Array, "time"]) -> Float[Array, "time characters"]:
        tokens = jax.vmap(self.token)(ids) + self.place.weight[: len(ids)]
        arrays, rest = eqx.partition(self.blocks, eqx.is_array)
        tokens, _ = jax.lax.scan(lambda t, a: (eqx.combine(a, rest)(t), None), tokens, arrays)
        return jax.vmap(self.head)(jax.vmap(self.norm)(tokens))


def write(network: GPT, ids: list[int], n: int) -> list[int]:
    """Return `ids` and `n` more, each drawn from what the network expects."""

    @eqx.filter_jit
    def next_id(network: GPT, window: Array, last: Array, key: PRNGKeyArray) -> Array:
        return jax.random.categorical(key, network(window)[last] / 0.7)

    for key in jax.random.split(jax.random.key(0), n):
        seen = ids[-TIME:]
        window = np.zeros(TIME, np.int32)
        window[: len(seen)] = seen
        ids = [*ids, int(next_id(network, jnp.asarray(window), jnp.int32(len(seen) - 1), key))]
    return ids


def main() -> None:
    text = texts()
    characters = sorted(set(text))
    ids = np.array([characters.index(character) for character in text], np.int32)
    # The end of the text is held out. Pieces overlap, so that characters are seen in other places.
    pieces = np.lib.stride_tricks.sliding_window_view(ids[:-4096], TIME + 1)[:: TIME // 4]
    held_out = np.lib.stride_tricks.sliding_window_view(ids[-4096:], TIME + 1)[::TIME]
    steps = EPOCHS * -(-len(pieces) // 64)

    def make() -> tg.Model[GPT]:
        return tg.Model(
            GPT(len(characters), jax.random.key(0)),
            loss=tg.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=tg.metrics.Perplexity(from_logits=True),
            optimizer=tg.Optimizer(optax.adamw, optax.warmup_cosine_decay_schedule(0.0, 3e-3, 50, steps)),
            dtype_policy=tg.DTypePolicy(compute=jnp.bfloat16),
            microbatches=2,
        )

    model = tg.parallel.create(make, tg.parallel.FSDP(min_size=1024))
    print(model.summary(pieces[:64, :-1]))
    model, history = model.fit(
        pieces[:, :-1],
        pieces[:, 1:],
        batch_size=64,
        epochs=EPOCHS,
        validation_data=(held_out[:, :-1], held_out[:, 1:]),
        callbacks=tg.callbacks.BackupAndRestore("gpt_backup"),
    )
    start = [characters.index(character) for character in "The data set "]
    network = model.distributed(None).module
    print("".join(characters[i] for i in write(network, start, 300)))
    history.report("gpt.html", model=model, x=pieces[:64, :-1], title="A GPT of characters")
    assert history["val_perplexity"][-1] < 12


if __name__ == "__main__":
    # Four devices of this machine's CPU, where there are no others.
    jax.config.update("jax_num_cpu_devices", 4)
    main()
