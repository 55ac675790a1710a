"""A small vision transformer: a schedule with a warm-up, clipped gradients, and weight decay of matrices alone.

Needs `pip install "treegy[examples]"`; takes a minute on a CPU.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import treegy as tg

WIDTH, EPOCHS, BATCH = 48, 40, 64


class Block(eqx.Module):
    norm1: eqx.nn.LayerNorm
    attention: eqx.nn.MultiheadAttention
    norm2: eqx.nn.LayerNorm
    mlp: eqx.nn.MLP
    dropout: eqx.nn.Dropout

    def __init__(self, key: PRNGKeyArray):
        key1, key2 = jax.random.split(key)
        self.norm1, self.norm2 = eqx.nn.LayerNorm(WIDTH), eqx.nn.LayerNorm(WIDTH)
        self.attention = eqx.nn.MultiheadAttention(4, WIDTH, key=key1)
        self.mlp = eqx.nn.MLP(WIDTH, WIDTH, 2 * WIDTH, 1, activation=jax.nn.gelu, key=key2)
        self.dropout = eqx.nn.Dropout(0.1)

    def __call__(self, tokens: Float[Array, "tokens width"], key: PRNGKeyArray) -> Float[Array, "tokens width"]:
        normed = jax.vmap(self.norm1)(tokens)
        tokens = tokens + self.attention(normed, normed, normed)
        return tokens + self.dropout(jax.vmap(self.mlp)(jax.vmap(self.norm2)(tokens)), key=key)


class ViT(eqx.Module):
    patches: eqx.nn.Conv2d
    place: Float[Array, "tokens width"]
    blocks: list[Block]
    norm: eqx.nn.LayerNorm
    head: eqx.nn.Linear

    def __init__(self, key: PRNGKeyArray):
        keys = jax.random.split(key, 6)
        self.patches = eqx.nn.Conv2d(1, WIDTH, 2, stride=2, key=keys[0])
        self.place = 0.02 * jax.random.normal(keys[1], (16, WIDTH))
        self.blocks = [Block(k) for k in keys[2:5]]
        self.norm = eqx.nn.LayerNorm(WIDTH)
        self.head = eqx.nn.Linear(WIDTH, 10, key=keys[5])

    def __call__(self, image: Float[Array, "1 8 8"], key: PRNGKeyArray) -> Float[Array, "classes"]:
        tokens = self.patches(image).reshape(WIDTH, -1).T + self.place
        for block, k in zip(self.blocks, jax.random.split(key, len(self.blocks)), strict=True):
            tokens = block(tokens, k)
        return self.head(self.norm(jnp.mean(tokens, axis=0)))


def main() -> None:
    pixels, labels = load_digits(return_X_y=True)
    images = (pixels / 16).reshape(-1, 1, 8, 8).astype("float32")
    x, x_test, y, y_test = train_test_split(images, labels, test_size=360, random_state=0)
    steps = EPOCHS * -(-len(x) // BATCH)
    schedule = optax.warmup_cosine_decay_schedule(0.0, 3e-3, steps // 10, steps)

    def matrices(parameters: ViT) -> ViT:
        return jax.tree.map(lambda leaf: leaf.ndim > 1, parameters)

    def clipped(learning_rate: optax.ScalarOrSchedule) -> optax.GradientTransformation:
        adamw = optax.adamw(learning_rate, weight_decay=0.05, mask=matrices)
        return optax.chain(optax.clip_by_global_norm(1.0), adamw)

    model = tg.Model(
        ViT(jax.random.key(0)),
        loss=tg.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=tg.metrics.SparseCategoricalAccuracy(name="accuracy"),
        # The learning rate is logged, as the optimizer that is made of it is treegy's.
        optimizer=tg.Optimizer(clipped, schedule),
    )
    model, history = model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, validation_data=(x_test, y_test), verbose=2)
    history.plot().savefig("vision_transformer.png")
    assert history["val_accuracy"][-1] > 0.93


if __name__ == "__main__":
    main()
