"""What a model predicts as a function of arrays alone, and the program that is made of a trace of it."""

import itertools

import jax
import jax.export
import jax.extend.core as jex
from jax.tree_util import tree_leaves_with_path

from .._saving._leaves import names_of
from .._steps._equations import calls_back, live
from .._steps._hashable import hashable_combine, hashable_partition
from .._steps._model_like import ModelLike
from .._steps._run_step import predict
from .._types import AnyArray, PyTree
from ._key_data import as_keys, data_of, data_shape


class Prediction:
    """What `predict_on_batch` computes, as a function of arrays of numbers alone.

    The model's arrays are arguments of it: as constants they would be copied into the program.
    """

    def __init__(self, model: ModelLike, x: PyTree):
        """**Arguments:**

        - `model`: one that is ready to predict.
        - `x`: the inputs, or their shapes.
        """
        self._arrays, self._frozen = hashable_partition(model)
        paths = [path for path, leaf in tree_leaves_with_path(model) if isinstance(leaf, AnyArray)]
        self._names = names_of(paths)
        self._x = x

    @property
    def arrays(self) -> dict[str, AnyArray]:
        """The arrays of the model, by their paths."""
        return dict(zip(self._names, self._arrays, strict=True))

    def traced(self, shapes: PyTree) -> "TracedPrediction":
        """Return a trace for inputs of some shapes, and of the dtypes that they have."""
        arrays, x = jax.tree.map(data_shape, (self.arrays, shapes))
        traced = jax.jit(self._predict).trace(arrays, x)
        return TracedPrediction(self.arrays, x, traced.jaxpr, traced.out_info)

    def _predict(self, arrays: dict[str, PyTree], x: PyTree) -> PyTree:
        known = [as_keys(arrays[name], like) for name, like in self.arrays.items()]
        x = jax.tree.map(as_keys, x, self._x)
        return jax.tree.map(data_of, predict(hashable_combine(known, self._frozen), x, 0)[1])


class TracedPrediction:
    """The trace of a prediction for inputs of some shapes, without what its results don't depend on.

    In inference that is all that makes keys for `eqx.nn.Dropout`, among others.
    """

    def __init__(self, arrays: dict[str, AnyArray], x: PyTree, closed: jex.ClosedJaxpr, y_pred: PyTree):
        self.x, self.y_pred = x, y_pred
        self.calls_back = calls_back(closed.jaxpr)
        """Whether it calls Python while it runs."""
        self._closed, read = live(closed)
        # The order of a dict's arrays in a trace is that of its sorted keys.
        names = sorted(arrays)
        self.parameters = {name: data_of(arrays[name]) for name in itertools.compress(names, read)}
        """The arrays of the model that it reads, by their paths."""
        self._reads_x = read[len(names) :]

    def program(self, platforms: tuple[str, ...]) -> jax.export.Exported:
        """Return the program."""
        shapes = {name: jax.ShapeDtypeStruct(array.shape, array.dtype) for name, array in self.parameters.items()}
        return jax.export.export(jax.jit(self._predict), platforms=platforms)(shapes, self.x)

    def _predict(self, parameters: dict[str, PyTree], x: PyTree) -> PyTree:
        inputs = itertools.compress(jax.tree.leaves(x), self._reads_x)
        results = jex.jaxpr_as_fun(self._closed)(*(parameters[name] for name in self.parameters), *inputs)
        return jax.tree.unflatten(jax.tree.structure(self.y_pred), results)
