"""Networks that others wrote, and a GPT: treegy's `fit` beside a loop by hand, each in a new process.

Run as a script, it is that process.
"""

import dataclasses
import importlib
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

_EPOCHS = 3


@dataclasses.dataclass(frozen=True)
class OtherNetwork:
    """A network, and what it is trained on."""

    name: str
    title: str
    package: str | None
    """What has to be installed."""
    make: Callable[[], tuple[Any, Any]]
    """Makes the network, and its state where it has one."""
    data: Callable[[int], tuple[np.ndarray, np.ndarray]]
    """Makes so many examples."""
    batch_size: int
    batches: int


# What the main process calls


def epochs(network: OtherNetwork, rounds: int, quick: bool) -> list[Any]:
    """The first epoch of each, compilation included, and the later ones: two results."""
    from bounds import BOUNDS
    from timing import Differ, Result, rotated

    first = Result(f"{network.name}-first", f"{network.title}, first epoch", bounds=BOUNDS["network-first"])
    later = Result(network.name, f"… later ones, {network.batches} batches", bounds=BOUNDS["network"])
    for i in range(rounds):
        losses: dict[str, float] = {}
        for name in rotated(["treegy", "hand-written"], i):
            found = _call(network.name, name, "quick" if quick else "whole")
            first.values.setdefault(name, []).append(found["first"])
            later.values.setdefault(name, []).append(found["later"])
            losses[name] = found["loss"]
        if not np.isclose(losses["treegy"], losses["hand-written"], rtol=0.05):
            raise Differ(f"{network.name}: the losses of the first epoch are {losses}.")
    return [first, later]


def is_there(network: OtherNetwork) -> bool:
    return network.package is None or importlib.util.find_spec(network.package) is not None


def _call(*arguments: str) -> dict[str, float]:
    env = {**os.environ, "JAX_ENABLE_COMPILATION_CACHE": "false"}
    done = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True, env=env)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


# What the new process does


def _measured(network: OtherNetwork, batches: int) -> dict[str, Callable[[], dict[str, float]]]:
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import optax

    import treegy as tg

    net, state = network.make()
    x, y = network.data(batches * network.batch_size)
    optimizer = optax.adam(1e-3)

    def ours() -> dict[str, float]:
        loss = tg.losses.SparseCategoricalCrossentropy(from_logits=True)
        model = tg.Model(net, loss=loss, optimizer=optimizer, state=state)
        run = lambda model: model.fit(x, y, batch_size=network.batch_size, shuffle=False, verbose=0)  # noqa: E731
        return _timed(lambda: run(model), lambda found: found[0].parameters, lambda found: found[1]["loss"][-1])

    @eqx.filter_jit
    def step(net: Any, state: Any, opt_state: Any, x: Any, y: Any, key: Any) -> Any:
        @eqx.filter_value_and_grad(has_aux=True)
        def loss(net: Any) -> Any:
            if state is None:
                keys = jax.random.split(key, len(x))
                logits, after = jax.vmap(lambda x, key: net(x, key=key))(x, keys), None
            else:
                call = lambda x, state: net(x, state)  # noqa: E731
                logits, after = jax.vmap(call, in_axes=(0, None), out_axes=(0, None), axis_name="batch")(x, state)
            return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, y)), after

        (value, after), grads = loss(net)
        updates, opt_state = optimizer.update(grads, opt_state, eqx.filter(net, eqx.is_inexact_array))
        return eqx.apply_updates(net, updates), after, opt_state, value

    def epoch() -> tuple[Any, float]:
        trained, states, losses = net, state, []
        opt_state = optimizer.init(eqx.filter(net, eqx.is_inexact_array))
        key = jax.random.key(0)
        for start in range(0, len(y), network.batch_size):
            key, one = jax.random.split(key)
            part = slice(start, start + network.batch_size)
            trained, states, opt_state, value = step(trained, states, opt_state, x[part], y[part], one)
            losses.append(value)
        return eqx.filter(trained, eqx.is_array), float(np.mean([float(value) for value in losses]))

    def theirs() -> dict[str, float]:
        return _timed(epoch, lambda found: found[0], lambda found: found[1])

    return {"treegy": ours, "hand-written": theirs}


def _timed(run: Callable[[], Any], arrays: Callable[[Any], Any], loss: Callable[[Any], float]) -> dict[str, float]:
    """Seconds of the first epoch, and of the fastest of some later ones, all from the initial parameters."""
    import jax

    seconds: list[float] = []
    value = 0.0
    for _ in range(1 + _EPOCHS):
        start = time.perf_counter()
        found = run()
        jax.block_until_ready(arrays(found))
        seconds.append(time.perf_counter() - start)
        value = loss(found)
    return {"first": seconds[0], "later": min(seconds[1:]), "loss": value}


# The networks


def _images(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, 3, 32, 32), np.float32), rng.integers(0, 10, n).astype(np.int32)


def _tokens(n: int) -> tuple[np.ndarray, np.ndarray]:
    tokens = np.random.default_rng(0).integers(0, 128, (n, 65)).astype(np.int32)
    return tokens[:, :-1], tokens[:, 1:]


def _vision_transformer() -> tuple[Any, Any]:
    import jax

    module = importlib.import_module("equimo.vision.models.vit")
    sizes = {"img_size": 32, "in_channels": 3, "dim": 64, "patch_size": 8, "num_heads": 4, "depths": [4]}
    return module.VisionTransformer(**sizes, num_classes=10, key=jax.random.key(0)), None


def _mobile_net() -> tuple[Any, Any]:
    import jax

    module = importlib.import_module("equimo.vision.models.mobilenet")
    return module.mobilenetv3_small(num_classes=10, inference_mode=False, key=jax.random.key(0)), None


def _residual_network() -> tuple[Any, Any]:
    import equinox as eqx
    import jax

    module = importlib.import_module("jaxonmodels.models.resnet")
    make = eqx.nn.make_with_state(module.ResNet)
    return make(module.BasicBlock, [2, 2, 2, 2], 10, False, 1, 64, None, jax.random.key(0))


def _gpt() -> tuple[Any, Any]:
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    width, heads, layers, length, words = 64, 4, 4, 64, 128

    class Block(eqx.Module):
        attention: eqx.nn.MultiheadAttention
        mlp: eqx.nn.MLP
        norms: list[eqx.nn.LayerNorm]

        def __call__(self, x: Any) -> Any:
            before = jax.vmap(self.norms[0])(x)
            mask = jnp.tril(jnp.ones((len(x), len(x)), bool))
            x = x + self.attention(before, before, before, mask=mask)
            return x + jax.vmap(self.mlp)(jax.vmap(self.norms[1])(x))

    class GPT(eqx.Module):
        embedding: eqx.nn.Embedding
        positions: Any
        blocks: list[Block]
        head: eqx.nn.Linear

        def __call__(self, x: Any, *, key: Any = None) -> Any:
            x = jax.vmap(self.embedding)(x) + self.positions
            for block in self.blocks:
                x = block(x)
            return jax.vmap(self.head)(x)

    keys = iter(jax.random.split(jax.random.key(0), 3 + 2 * layers))
    block = lambda: Block(  # noqa: E731
        eqx.nn.MultiheadAttention(heads, width, key=next(keys)),
        eqx.nn.MLP(width, width, 4 * width, 1, activation=jax.nn.gelu, key=next(keys)),
        [eqx.nn.LayerNorm(width), eqx.nn.LayerNorm(width)],
    )
    embedding = eqx.nn.Embedding(words, width, key=next(keys))
    positions = 0.02 * jax.random.normal(next(keys), (length, width))
    return GPT(
        embedding, positions, [block() for _ in range(layers)], eqx.nn.Linear(width, words, key=next(keys))
    ), None


NETWORKS = [
    OtherNetwork("vit", "equimo's ViT, batch 32", "equimo", _vision_transformer, _images, 32, 40),
    OtherNetwork("mobilenet", "equimo's MobileNetV3, batch 16", "equimo", _mobile_net, _images, 16, 10),
    OtherNetwork("resnet", "jaxonmodels' ResNet-18, batch 16", "jaxonmodels", _residual_network, _images, 16, 10),
    OtherNetwork("gpt", "a GPT of Equinox's layers, batch 16", None, _gpt, _tokens, 16, 40),
]

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    name, contender, size = sys.argv[1:]
    chosen = next(network for network in NETWORKS if network.name == name)
    print(json.dumps(_measured(chosen, 2 if size == "quick" else chosen.batches)[contender]()))
