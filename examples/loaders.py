"""The same digits from PyTorch's `DataLoader` and from Grain, augmented as they are read.

Needs `pip install "treegy[examples]" torch grain`; takes half a minute on a CPU.
"""

from typing import Any

import equinox as eqx
import grain
import jax
import numpy as np
import optax
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import treegy as tg


def shifted(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An image, moved by a pixel in any direction."""
    across, down = rng.integers(-1, 2, 2)
    return np.roll(image.reshape(8, 8), (down, across), axis=(0, 1)).ravel()


class Digits(torch.utils.data.Dataset[Any]):
    def __init__(self, x: np.ndarray, y: np.ndarray):
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        seed = int(torch.randint(2**31, ()))
        return shifted(self.x[i], np.random.default_rng(seed)), self.y[i]


class Shift(grain.transforms.RandomMap):
    def random_map(self, element: Any, rng: np.random.Generator) -> Any:
        image, label = element
        return shifted(image, rng), label


def main() -> None:
    pixels, labels = load_digits(return_X_y=True)
    images = (pixels / 16).astype("float32")
    split = train_test_split(images, labels, test_size=397, random_state=0)
    x, x_test, y, y_test = (np.asarray(part) for part in split)

    of_torch = torch.utils.data.DataLoader(
        Digits(x, y), batch_size=64, shuffle=True, generator=torch.Generator().manual_seed(0)
    )
    # Repeated, since each pass over it would otherwise begin at its first position, with the same order and shifts.
    of_grain = grain.MapDataset.source(list(zip(x, y, strict=True))).seed(1).shuffle().random_map(Shift())
    of_grain = of_grain.batch(64, drop_remainder=True).repeat()
    for name, loader in {"PyTorch": of_torch, "Grain": of_grain}.items():
        model = tg.Model(
            eqx.nn.MLP(64, 10, 128, 2, key=jax.random.key(0)),
            loss=tg.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=tg.metrics.SparseCategoricalAccuracy(name="accuracy"),
            optimizer=optax.adam(1e-3),
        )
        model, _ = model.fit(loader, epochs=40, steps_per_epoch=len(x) // 64, verbose=0)
        found = model.evaluate(x_test, y_test, verbose=0)["accuracy"]
        print(f"{name}: accuracy on other images {found:.3f}")
        assert found > 0.88


if __name__ == "__main__":
    main()
