"""What is trained: data, initial weights and the order of the examples, as NumPy arrays that no library owns."""

import dataclasses
import functools
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np

CLASSES = 10
SIDE = 28


@dataclasses.dataclass(frozen=True)
class Dense:
    """`y = weight @ x + bias`, on a flattened `x`."""

    weight: np.ndarray
    """`(out, in)`"""
    bias: np.ndarray


@dataclasses.dataclass(frozen=True)
class Conv:
    """A convolution."""

    weight: np.ndarray
    """`(out, in / groups, size, size)`"""
    bias: np.ndarray
    stride: int = 1
    groups: int = 1
    padding: int = 0
    """How many zeros go around the image."""


@dataclasses.dataclass(frozen=True)
class Mean:
    """The mean over the image, of each channel."""


Layer = Dense | Conv | Mean


@dataclasses.dataclass
class Work:
    """One workload. Networks are layers with a ReLU after each but the last, which gives the logits."""

    name: str
    title: str
    layers: list[Layer]
    x: np.ndarray
    """`(examples, 784)`, or `(examples, channels, 28, 28)` for convolutions."""
    y: np.ndarray
    order: np.ndarray
    """The order in which an epoch visits the examples."""
    batch_size: int
    learning_rate: float = 1e-3
    task: Literal["fit", "evaluate", "predict"] = "fit"
    source: Literal["arrays", "generator", "memory map"] = "arrays"

    @property
    def steps(self) -> int:
        return len(self.y) // self.batch_size

    def batches(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The batches of an epoch, gathered as a loop written by hand does it."""
        for start in range(0, len(self.y), self.batch_size):
            picked = self.order[start : start + self.batch_size]
            yield self.x[picked], self.y[picked]

    def slices(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The batches of an evaluation."""
        for start in range(0, len(self.y), self.batch_size):
            yield self.x[start : start + self.batch_size], self.y[start : start + self.batch_size]

    @functools.cached_property
    def ordered(self) -> tuple[np.ndarray, np.ndarray]:
        """The data in the order of an epoch, for contenders that are spared the gathering."""
        return self.x[self.order], self.y[self.order]

    def save(self, folder: Path) -> None:
        np.save(folder / "x.npy", self.x)
        with open(folder / "rest.pickle", "wb") as file:
            pickle.dump({f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "x"}, file)

    @staticmethod
    def load(folder: Path, mapped: bool = False) -> "Work":
        with open(folder / "rest.pickle", "rb") as file:
            rest = pickle.load(file)
        return Work(x=np.load(folder / "x.npy", mmap_mode="r" if mapped else None), **rest)


@dataclasses.dataclass(frozen=True)
class Plan:
    """How a workload is made: a network, how many examples an epoch has, and what is done with them."""

    name: str
    title: str
    network: str
    examples: int
    quick: int
    batch_size: int = 64
    learning_rate: float = 1e-3
    task: Literal["fit", "evaluate", "predict"] = "fit"
    source: Literal["arrays", "generator", "memory map"] = "arrays"

    def work(self, quick: bool = False) -> Work:
        """**Arguments:**

        - `quick`: whether to do with fewer examples.
        """
        from contenders.treegy_fit import order_of_first_epoch

        examples = self.quick if quick else self.examples
        layers = _NETWORKS[self.network](np.random.default_rng(1))
        channels = layers[0].weight.shape[1] * layers[0].groups if isinstance(layers[0], Conv) else 1
        x, y = _examples(examples, channels)
        if isinstance(layers[0], Conv):
            x = x.reshape(-1, channels, SIDE, SIDE)
        return Work(
            self.name,
            self.title,
            layers,
            x,
            y,
            order_of_first_epoch(examples),
            self.batch_size,
            self.learning_rate,
            self.task,
            self.source,
        )


def _examples(n: int, channels: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Noise with a faint pattern of its class in it, so that there is something to learn all epoch long."""
    rng = np.random.default_rng(0)
    patterns = rng.standard_normal((CLASSES, channels * SIDE * SIDE), np.float32)
    y = rng.integers(0, CLASSES, n).astype(np.int32)
    x = rng.standard_normal((n, channels * SIDE * SIDE), np.float32)
    x += np.float32(0.08) * patterns[y]
    return x, y


def _dense(rng: Any, size_in: int, size_out: int, gain: float = 2.0) -> Dense:
    weight = rng.standard_normal((size_out, size_in), np.float32) * np.float32((gain / size_in) ** 0.5)
    return Dense(weight, np.zeros(size_out, np.float32))


def _conv(
    rng: Any, channels_in: int, channels_out: int, size: int = 3, stride: int = 1, groups: int = 1, padding: int = 0
) -> Conv:
    shape = (channels_out, channels_in // groups, size, size)
    scale = np.float32((2 / (shape[1] * size * size)) ** 0.5)
    return Conv(
        rng.standard_normal(shape, np.float32) * scale, np.zeros(channels_out, np.float32), stride, groups, padding
    )


def _mlp(width: int) -> Any:
    def network(rng: Any) -> list[Layer]:
        return [_dense(rng, SIDE * SIDE, width), _dense(rng, width, width), _dense(rng, width, CLASSES, 0.1)]

    return network


def _deep(rng: Any) -> list[Layer]:
    width, depth = 32, 64
    layers: list[Layer] = [_dense(rng, SIDE * SIDE, width)]
    for _ in range(depth - 1):
        # Without skip connections: so many layers learn, and amplify no rounding, if each begins as the identity.
        weight = np.eye(width, dtype=np.float32) + rng.standard_normal((width, width), np.float32) * np.float32(0.005)
        layers.append(Dense(weight, np.zeros(width, np.float32)))
    return [*layers, _dense(rng, width, CLASSES, 0.1)]


def _cnn(rng: Any) -> list[Layer]:
    return [_conv(rng, 1, 16, stride=2), _conv(rng, 16, 32, stride=2), _dense(rng, 32 * 6 * 6, CLASSES, 0.1)]


def _depthwise(rng: Any) -> list[Layer]:
    return [
        _conv(rng, 1, 32, stride=2),
        _conv(rng, 32, 32, groups=32),
        _conv(rng, 32, 64, size=1),
        _conv(rng, 64, 64, stride=2, groups=64),
        _conv(rng, 64, 64, size=1),
        _dense(rng, 64 * 5 * 5, CLASSES, 0.1),
    ]


def _grouped(rng: Any) -> list[Layer]:
    return [
        _conv(rng, 1, 32, stride=2),
        _conv(rng, 32, 64, groups=4),
        _conv(rng, 64, 64, stride=2, groups=8),
        _dense(rng, 64 * 5 * 5, CLASSES, 0.1),
    ]


def _conv32(groups: int) -> Any:
    def network(rng: Any) -> list[Layer]:
        conv = lambda: _conv(rng, 32, 32, groups=groups, padding=1)  # noqa: E731
        return [conv(), conv(), Mean(), _dense(rng, 32, CLASSES, 0.1)]

    return network


_NETWORKS = {
    "mlp": _mlp(64),
    "wide": _mlp(1024),
    "deep": _deep,
    "cnn": _cnn,
    "depthwise": _depthwise,
    "grouped": _grouped,
    "conv32": _conv32(1),
    "conv32-4": _conv32(4),
    "conv32-32": _conv32(32),
}

# Whole batches only: a scan over an epoch can't have a smaller one in the end.
_EPOCH = 937 * 64

PLANS = [
    Plan("mlp", "MLP 784-64-64-10, batch 64", "mlp", _EPOCH, 64 * 40),
    Plan("wide", "MLP 784-1024-1024-10, batch 256", "wide", 256 * 80, 256 * 4, 256, 1e-4),
    Plan("deep", "MLP of 64 layers of 32, batch 64", "deep", 64 * 400, 64 * 20, 64, 1e-4),
    Plan("cnn", "CNN, two 3×3 convolutions of stride 2, batch 64", "cnn", 64 * 300, 64 * 10),
    Plan("depthwise", "CNN, depthwise, batch 64", "depthwise", 64 * 30, 64 * 5),
    Plan("grouped", "CNN, grouped, batch 64", "grouped", 64 * 20, 64 * 5),
    Plan("conv32", "two 3×3 convolutions of 32 channels, 28×28, batch 64", "conv32", 64 * 20, 64 * 3),
    Plan("conv32-4", "… in 4 groups", "conv32-4", 64 * 20, 64 * 3),
    Plan("conv32-32", "… depthwise", "conv32-32", 64 * 20, 64 * 3),
    Plan("generator", "the first MLP, a generator of NumPy batches", "mlp", _EPOCH, 64 * 40, source="generator"),
    Plan("memmap", "the first MLP, a memory-mapped array", "mlp", _EPOCH, 64 * 40, source="memory map"),
    Plan("evaluate", "the first MLP, `evaluate`", "mlp", _EPOCH, 64 * 40, task="evaluate"),
    Plan("predict", "the first MLP, `predict`", "mlp", _EPOCH, 64 * 40, task="predict"),
]

# In a fresh process each: with compilation, and with the last batch smaller than the others, as it mostly is.
FIRST_EPOCHS = [
    Plan("first-epoch", "the first MLP, first epoch", "mlp", _EPOCH, 64 * 20),
    Plan("first-epoch-rest", "the same, the last batch smaller", "mlp", _EPOCH + 32, 64 * 20 + 32),
    Plan("first-epoch-cnn", "the first CNN, first epoch", "cnn", 64 * 300, 64 * 10),
]

MEMORY = Plan("memory", "peak memory, the wide MLP", "wide", 256 * 160, 256 * 20, 256, 1e-4)
