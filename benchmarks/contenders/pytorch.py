"""PyTorch: an eager loop over tensors."""

from typing import Any

import numpy as np
import torch
from workloads import Dense, Layer, Mean, Work

from . import Contender


class Torch(Contender):
    def __init__(self, work: Work):
        super().__init__(work)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        layers: list[torch.nn.Module] = []
        for layer in work.layers[:-1]:
            layers += [_layer(layer), torch.nn.ReLU()]
        self.network = torch.nn.Sequential(*layers, torch.nn.Flatten(), _layer(work.layers[-1])).to(self.device)
        self.initial = {name: value.clone() for name, value in self.network.state_dict().items()}
        self.x = torch.from_numpy(work.x).to(self.device)
        self.y = torch.from_numpy(work.y).long().to(self.device)
        self.order = torch.from_numpy(work.order).to(self.device)
        self.loss = torch.nn.CrossEntropyLoss()

    @classmethod
    def does(cls, work: Work) -> bool:
        return work.source == "arrays"

    def reset(self) -> None:
        self.network.load_state_dict(self.initial)

    def fit(self) -> float:
        optimizer = torch.optim.Adam(self.network.parameters(), self.work.learning_rate)
        losses, hits = [], []
        self.network.train()
        for picked in self.order.split(self.work.batch_size):
            x, y = self.x[picked], self.y[picked]
            optimizer.zero_grad()
            logits = self.network(x)
            loss = self.loss(logits, y)
            loss.backward()
            optimizer.step()
            losses.append(loss.detach() * len(y))
            hits.append((logits.detach().argmax(1) == y).sum())
        float(torch.stack(hits).sum())
        return float(torch.stack(losses).sum()) / len(self.y)

    @torch.no_grad()
    def evaluate(self) -> tuple[float, float]:
        losses, hits = [], []
        self.network.eval()
        for x, y in self._slices():
            logits = self.network(x)
            losses.append(self.loss(logits, y) * len(y))
            hits.append((logits.argmax(1) == y).sum())
        return float(torch.stack(losses).sum()) / len(self.y), float(torch.stack(hits).sum()) / len(self.y)

    @torch.no_grad()
    def predict(self) -> Any:
        self.network.eval()
        return torch.cat([self.network(x) for x, _ in self._slices()]).cpu().numpy()

    @torch.no_grad()
    def logits(self, x: np.ndarray) -> Any:
        return self.network(torch.from_numpy(x).to(self.device)).cpu().numpy()

    def _slices(self) -> Any:
        size = self.work.batch_size
        return zip(self.x.split(size), self.y.split(size), strict=True)


class _MeanOverImage(torch.nn.Module):
    def forward(self, x: Any) -> Any:
        return x.mean((2, 3))


def _layer(layer: Layer) -> torch.nn.Module:
    if isinstance(layer, Mean):
        return _MeanOverImage()
    weight = layer.weight
    if isinstance(layer, Dense):
        made: Any = torch.nn.Linear(weight.shape[1], weight.shape[0])
    else:
        channels_in = weight.shape[1] * layer.groups
        size, stride, padding, groups = weight.shape[2], layer.stride, layer.padding, layer.groups
        made = torch.nn.Conv2d(channels_in, weight.shape[0], size, stride, padding, groups=groups)
    with torch.no_grad():
        made.weight.copy_(torch.from_numpy(weight))
        made.bias.copy_(torch.from_numpy(layer.bias))
    return made
