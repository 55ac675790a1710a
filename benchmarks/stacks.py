"""Several models of one shape: a stack of them beside the same models in a loop by hand, each trained by `fit`."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import numpy as np
import optax
from bounds import BOUNDS
from timing import Differ, Result, measure

import treegy as tg


@dataclasses.dataclass(frozen=True)
class Stack:
    """Perceptrons of one hidden width, of which only the seeds differ."""

    name: str
    title: str
    models: int
    sizes: tuple[int, ...]
    """The lengths of the input, the hidden layers and the output."""
    examples: int
    batch_size: int
    epochs: int = 1


STACKS = [
    Stack("stack-tiny", "16 networks 8-16-2, batch 32, 1,000 steps", 16, (8, 16, 2), 3200, 32, 10),
    Stack("stack-small", "16 networks 16-64-4, batch 32, 1,000 steps", 16, (16, 64, 4), 3200, 32, 10),
    Stack("stack-middle", "16 networks 64-128-128-10, batch 64, 100 steps", 16, (64, 128, 128, 10), 6400, 64),
    Stack("stack-mlp", "4 networks 784-64-64-10, batch 64, 300 steps", 4, (784, 64, 64, 10), 19200, 64),
]


class _Run:
    """What `measure` times."""

    def __init__(self, run: Any):
        self.run = run

    def reset(self) -> None: ...


def measured(stack: Stack, rounds: int, quick: bool) -> Result:
    """**Raises:** `Differ` if the two don't compute the same."""
    rng = np.random.default_rng(0)
    examples, epochs = (stack.batch_size * 4, 1) if quick else (stack.examples, stack.epochs)
    x = rng.normal(size=(examples, stack.sizes[0])).astype("float32")
    y = rng.integers(0, stack.sizes[-1], examples).astype("int32")
    optimizer = optax.adam(1e-3)
    loss = tg.losses.SparseCategoricalCrossentropy(from_logits=True)

    def network(seed: int) -> Any:
        keys = jax.random.split(jax.random.key(seed), len(stack.sizes))
        pairs = list(zip(stack.sizes[:-1], stack.sizes[1:], strict=True))
        layers: list[Any] = []
        for i, (inputs, outputs) in enumerate(pairs):
            layers += [eqx.nn.Linear(inputs, outputs, key=keys[i]), eqx.nn.Lambda(jax.nn.relu)]
        return eqx.nn.Sequential(layers[:-1])

    models = [tg.Model(network(seed), loss=loss, optimizer=optimizer) for seed in range(stack.models)]
    stacked = tg.stack(models)
    given: dict[str, Any] = {"batch_size": stack.batch_size, "epochs": epochs, "verbose": 0}

    def together() -> np.ndarray:
        model, history = stacked.fit(x, y, **given)
        jax.block_until_ready(model.parameters)
        return history["loss"][-1]

    def one_by_one() -> np.ndarray:
        losses: list[float] = []
        for model in models:
            trained, history = model.fit(x, y, **given)
            jax.block_until_ready(trained.parameters)
            losses.append(history["loss"][-1])
        return np.array(losses)

    found, expected = together(), one_by_one()
    if not np.allclose(found, expected, rtol=1e-2):
        raise Differ(f"{stack.name}: the stack has the losses {found}, the models one by one {expected}.")
    steps = epochs * examples // stack.batch_size * stack.models
    result = Result(stack.name, stack.title, steps=steps, bounds=BOUNDS.get(stack.name, {}))
    result.values = measure({"treegy": _Run(together), "hand-written": _Run(one_by_one)}, rounds)
    return result
