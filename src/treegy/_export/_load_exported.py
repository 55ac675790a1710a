"""`load_exported`: an exported model, with what it expects told in words."""

import os

import jax
import jax.export

from .._data._as_batch import as_inputs
from .._describe import array_name, describe
from .._errors import CheckpointError
from .._saving._manifest import EXPORTED
from .._saving._saved import opened
from .._types import AnyArray, PyTree
from ._check_inputs import check_inputs
from ._export import PROGRAM, require_flatbuffers


class ExportedModel:
    """What a model predicts, without the model: a program and its parameters.

    [`treegy.load_exported`][] makes it.
    """

    program: jax.export.Exported
    """The program, as JAX has it: its first argument are the `parameters`, its second is `x`."""
    parameters: dict[str, jax.Array]
    """The arrays of the model that it reads, by their paths in the model."""

    def __init__(self, program: jax.export.Exported, parameters: dict[str, jax.Array]):
        self.program, self.parameters = program, parameters
        self._call = jax.jit(program.call)

    @property
    def x(self) -> PyTree:
        """The shapes and dtypes of the inputs; where any length will do, it is a symbol."""
        (_, x), _ = jax.tree.unflatten(self.program.in_tree, [_shape(aval) for aval in self.program.in_avals])
        return x

    @property
    def y_pred(self) -> PyTree:
        """The shapes and dtypes of what it predicts."""
        return jax.tree.unflatten(self.program.out_tree, [_shape(aval) for aval in self.program.out_avals])

    @property
    def platforms(self) -> tuple[str, ...]:
        """On which platforms it runs: `cpu`, `cuda`, `rocm`, `tpu`."""
        return tuple(self.program.platforms)

    def __call__(self, x: PyTree) -> PyTree:
        """Return what the model predicts for one batch.

        **Raises:** [`treegy.ContractError`][] for inputs of another structure, dtype or shape than those of the export.
        """
        inputs = as_inputs(x, keep_numpy=True).x
        check_inputs(inputs, self.x)
        return self._call(self.parameters, inputs)

    def __repr__(self) -> str:
        return f"ExportedModel({describe(self.x)} -> {describe(self.y_pred)}, {'/'.join(self.platforms)})"


def load_exported(path: str | os.PathLike[str]) -> ExportedModel:
    """Return what [`treegy.Model.export`][] has written: a function of a batch, which needs nothing of the model.

    Every byte is compared with what was written. Nothing that is read is executed, besides the program.

    **Arguments:**

    - `path`: the directory.

    **Returns:**

    An [`treegy.ExportedModel`][]: call it with a batch `x`, of the structure and dtypes of that of the export.

    **Raises:** [`treegy.CheckpointError`][] if there is none, if it is damaged, or if this JAX can't read it.
    """
    require_flatbuffers("`tg.load_exported`")
    with opened(path, EXPORTED) as saved:
        arrays = saved.arrays()
        version = saved.written_with.get("jax")
    if PROGRAM not in arrays:
        raise CheckpointError(f"What is exported in '{path}' is damaged: it has no program.")
    program = _program(arrays.pop(PROGRAM), f"'{path}'", version)
    for name, array in arrays.items():
        if jax.dtypes.canonicalize_dtype(array.dtype) != array.dtype:
            raise CheckpointError(
                f"`{name}` was exported as {array_name(array)}, which JAX only has when `jax_enable_x64` is on."
            )
    return ExportedModel(program, jax.device_put(arrays))


def _shape(aval: PyTree) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(aval.shape, aval.dtype)


def _program(content: AnyArray, where: str, version: object) -> jax.export.Exported:
    # Its bytes are those that were written: what can't be read was written by another JAX.
    told = f"was exported with JAX {version}, and this is JAX {jax.__version__}"
    try:
        program = jax.export.deserialize(bytearray(content.tobytes()))
        program.mlir_module()  # else an older JAX would find out in the first call
    except Exception as error:
        raise CheckpointError(
            f"{where} {told}, which can't read its program: {type(error).__name__}: {error}. Load it with that "
            "JAX, or a newer one; or export the model again."
        ) from error
    least = jax.export.minimum_supported_calling_convention_version
    most = jax.export.maximum_supported_calling_convention_version
    if not least <= program.calling_convention_version <= most:
        newer = program.calling_convention_version > most
        raise CheckpointError(
            f"{where} {told}: its calling convention is of version {program.calling_convention_version}, and this one "
            f"reads {least} to {most}. "
            + ("Install a newer JAX." if newer else "Export the model again, or load it with an older JAX.")
        )
    return program
