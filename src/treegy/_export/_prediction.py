"""What a model predicts, as a function of the model's arrays and of a batch, which can be traced."""

import jax
import jax.export
import jax.numpy as jnp
from jax.tree_util import tree_leaves_with_path

from .._saving._leaves import names_of
from .._steps._equations import inputs_read
from .._steps._hashable import hashable_combine, hashable_partition
from .._steps._model_like import ModelLike
from .._steps._run_step import predict
from .._types import AnyArray, PyTree
from ._key_data import as_keys, data_of, data_shape


class Prediction:
    """What `predict_on_batch` computes, as a function of arrays of numbers alone.

    The model's arrays are arguments of it: as constants they would be copied into every program.
    """

    def __init__(self, model: ModelLike, x: PyTree, read: frozenset[str] | None = None):
        """**Arguments:**

        - `model`: one that is ready to predict.
        - `x`: the inputs, or their shapes: which of them are keys.
        - `read`: the paths of those arrays of the model that are arguments; all by default. The others are zeros.
        """
        self._model, self._x = model, x
        self._arrays, self._frozen = hashable_partition(model)
        paths = [path for path, leaf in tree_leaves_with_path(model) if isinstance(leaf, AnyArray)]
        self._names = names_of(paths)
        self._read = frozenset(self._names) if read is None else read

    def predict(self, parameters: dict[str, PyTree], x: PyTree) -> PyTree:
        """Return what the model predicts."""
        arrays = [
            as_keys(parameters[name] if name in parameters else jnp.zeros(data.shape, data.dtype), array)
            for name, array in zip(self._names, self._arrays, strict=True)
            for data in [data_shape(array)]
        ]
        x = jax.tree.map(as_keys, x, self._x)
        y_pred = predict(hashable_combine(arrays, self._frozen), x, 0)[1]
        return jax.tree.map(data_of, y_pred)

    @property
    def parameters(self) -> dict[str, AnyArray]:
        """The arrays of the model that are arguments, by their paths."""
        named = zip(self._names, self._arrays, strict=True)
        return {name: data_of(array) for name, array in named if name in self._read}

    @property
    def shapes(self) -> dict[str, jax.ShapeDtypeStruct]:
        """Their shapes."""
        named = zip(self._names, self._arrays, strict=True)
        return {name: data_shape(array) for name, array in named if name in self._read}

    def traced(self, x: PyTree) -> PyTree:
        """Return a trace for inputs of these shapes."""
        return jax.jit(self.predict).trace(self.shapes, x)

    def program(self, x: PyTree, platforms: tuple[str, ...]) -> jax.export.Exported:
        """Return the program for inputs of these shapes."""
        return jax.export.export(jax.jit(self.predict), platforms=platforms)(self.shapes, x)

    def of_what_is_read(self, traced: PyTree) -> "Prediction":
        """Return the same without the arrays of the model that it doesn't read, by a trace of this one."""
        shapes = self.shapes
        # The order of a dict's arrays in a trace is that of its sorted keys.
        read = inputs_read(traced.jaxpr.jaxpr)[: len(shapes)]
        names = [name for name, is_read in zip(sorted(shapes), read, strict=True) if is_read]
        return Prediction(self._model, self._x, frozenset(names))
