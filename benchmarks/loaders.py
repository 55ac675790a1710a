"""Loaders of other libraries: treegy's `fit` on one, beside the same loader in a loop written by hand."""

import dataclasses
import importlib.util
from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import numpy as np
from contenders.equinox_loops import HandWritten
from contenders.treegy_fit import Treegy
from single_calls import Run, compared
from timing import Result
from workloads import PLANS, Work


@dataclasses.dataclass(frozen=True)
class Loader:
    """A library's way of giving batches."""

    name: str
    title: str
    package: str
    make: Callable[[Work], Any]
    """Makes what can be iterated over again and again, in the same order."""


def measured(loader: Loader, rounds: int, quick: bool) -> Result:
    """**Raises:** `Differ` if the two don't compute the same."""
    plan = next(plan for plan in PLANS if plan.name == "mlp")
    work = dataclasses.replace(plan, examples=64 * 300).work(quick)
    batches = loader.make(work)
    model, loop = Treegy(work).initial, HandWritten(work)

    def ours() -> float:
        return model.fit(batches, verbose=0)[1]["loss"][-1]

    def theirs() -> float:
        network, losses = loop.initial, []
        opt_state = loop.optimizer.init(eqx.filter(network, eqx.is_inexact_array))
        for x, y in batches:
            network, opt_state, loss, _ = loop.train_step(network, opt_state, np.asarray(x), np.asarray(y))
            losses.append(loss)
        return float(np.mean([float(loss) for loss in losses]))

    runs: tuple[Run, Run] = (ours, theirs)
    return compared(loader.name, loader.title, runs, work.steps, rounds)


def is_there(loader: Loader) -> bool:
    return importlib.util.find_spec(loader.package) is not None


def _torch(work: Work) -> Any:
    import torch

    data = torch.utils.data.TensorDataset(torch.from_numpy(work.x), torch.from_numpy(work.y))
    # Workers that are made anew: JAX runs threads, beside which nothing is to be forked.
    return torch.utils.data.DataLoader(
        data, batch_size=work.batch_size, num_workers=2, multiprocessing_context="spawn", persistent_workers=True
    )


def _grain(work: Work) -> Any:
    import grain

    class Examples(grain.sources.RandomAccessDataSource):
        def __len__(self) -> int:
            return len(work.y)

        def __getitem__(self, i: int) -> Any:
            return work.x[i], work.y[i]

        def __repr__(self) -> str:
            return "Examples()"

    return grain.MapDataset.source(Examples()).batch(work.batch_size, drop_remainder=True).to_iter_dataset()


class _OfTable:
    """The batches of a Hugging Face table."""

    def __init__(self, work: Work):
        import datasets

        table = datasets.Dataset.from_dict({"x": list(work.x), "y": work.y})
        self.table, self.batch_size = table.with_format("numpy"), work.batch_size

    def __iter__(self) -> Iterator[Any]:
        for batch in self.table.iter(self.batch_size):
            yield batch["x"].astype("float32"), batch["y"].astype("int32")


LOADERS = [
    Loader("torch-loader", "the first MLP, PyTorch's `DataLoader` with 2 workers", "torch", _torch),
    Loader("grain-loader", "… Grain's `MapDataset`", "grain", _grain),
    Loader("table", "… batches of a Hugging Face table", "datasets", _OfTable),
]
