"""`Model.export`: what a model predicts, as a program in a directory."""

import importlib
from collections.abc import Collection, Iterable
from pathlib import Path

import jax
import jax.export
import numpy as np

from .._data._as_arrays import common_length
from .._data._as_batch import as_inputs, as_shapes
from .._data._batch import Batch
from .._describe import describe, did_you_mean, listed
from .._errors import DataError
from .._paths import local
from .._saving._manifest import EXPORTED, save_arrays
from .._steps._assembly import rebuilt
from .._steps._evaluated import evaluated
from .._steps._model_like import ModelLike
from .._steps._prepare import needs_batch, prepared
from .._types import PyTree
from ._axes import checked_varying, is_open, open_shapes
from ._containers import check_containers
from ._prediction import Prediction, TracedPrediction

PROGRAM = "program"
"""Under which name a directory has the program, beside the parameters."""
_PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


def export(model: ModelLike, path: object, x: PyTree, varying: object, platforms: object) -> None:
    """What [`treegy.Model.export`][] does."""
    require_flatbuffers("`model.export`")
    directory, names, targets = local("path", path), checked_varying(varying), _checked_platforms(platforms)
    inputs = _inputs(x)
    check_containers("x", inputs, "Pass a dict or a tuple of its parts, which the module then takes as arguments.")
    ready = _ready(model, inputs)
    traced = _traced(Prediction(ready, inputs), ready, inputs, names)
    mend = "Let the module, or `pred_step`, return a dict or a tuple of its parts."
    check_containers("y_pred", traced.y_pred, mend)
    _refuse_callbacks(traced)
    program = _program(traced, targets)
    arrays = {PROGRAM: np.frombuffer(program.serialize(), np.uint8), **traced.parameters}
    about = {
        "skeleton": None,
        "x": describe(traced.x),
        "y_pred": describe(traced.y_pred),
        "platforms": list(program.platforms),
        "calling_convention_version": program.calling_convention_version,
    }
    save_arrays(
        arrays, directory, EXPORTED, about, {"load.py": Path(__file__).with_name("_standalone.py").read_bytes()}
    )


def require_flatbuffers(who: str) -> None:
    """Raise if programs can't be written or read here."""
    try:
        importlib.import_module("flatbuffers")
    except ImportError as error:
        raise ImportError(
            f'{who} needs flatbuffers, which JAX doesn\'t install: pip install "treegy[export]"'
        ) from error


def _checked_platforms(platforms: object) -> tuple[str, ...]:
    if isinstance(platforms, str) or not isinstance(platforms, Iterable):
        raise TypeError(f'`platforms` is {platforms!r:.100}; a tuple of names is expected, such as ("cpu", "cuda").')
    names = tuple(platforms)
    for name in names:
        if name not in _PLATFORMS:
            mend = ' A GPU is "cuda" or "rocm".' if name == "gpu" else did_you_mean(str(name), _PLATFORMS)
            raise ValueError(f"`platforms` names {name!r:.100}; there are {listed(_PLATFORMS)}.{mend}")
    if not names:
        raise ValueError(f"`platforms` is empty; there are {listed(_PLATFORMS)}.")
    return names


def _inputs(x: PyTree) -> PyTree:
    """Return the arrays that a batch consists of, or the shapes that were passed for them."""
    if any(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in jax.tree.leaves(x)):
        x = as_shapes(x, None, None).x
    else:
        x = as_inputs(x, keep_numpy=False).x
    common_length({"x": x})
    return x


def _ready(model: ModelLike, x: PyTree) -> ModelLike:
    """Return the model that predicts, on one device, without what predicting doesn't read."""
    if needs_batch(model, "pred") and any(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in jax.tree.leaves(x)):
        raise DataError(
            "the model isn't initialized, and its steps make their parameters from a batch: pass one as `x`, not "
            "shapes, or call `model = model.init(x, y)` before."
        )
    ready = evaluated(prepared(model, "pred", Batch(x)), "pred")
    return rebuilt(ready, {"strategy": None})


def _traced(prediction: Prediction, model: ModelLike, x: PyTree, varying: Collection[str]) -> TracedPrediction:
    """Return the trace of a prediction for inputs of any lengths along some axes.

    **Raises:** `ValueError` if it is these that it can't be traced for.
    """

    def trace(names: Collection[str]) -> TracedPrediction:
        return prediction.traced(open_shapes(model, x, names))

    def fails(names: Collection[str]) -> bool:
        try:
            trace(names)
        except Exception:
            return True
        return False

    try:
        return trace(varying)
    except Exception as error:
        if model.run_eagerly:
            error.add_note("The model runs eagerly (`run_eagerly=True`), and what is exported is traced, as by `jit`.")
        closed = [name for name in varying if fails((name,))]
        if is_open(x) or not closed or fails(()):
            raise
        _refuse_callbacks(trace(()))
        rest = tuple(name for name in varying if name not in closed)
        raise ValueError(
            f"the length of the axis {listed(map(repr, closed))} of `x` can't vary: the model computes with it as a "
            "number, in a way that JAX doesn't know how to do for all lengths.\n"
            f"  {type(error).__name__}: {_first_line(error)}\n"
            f"Export it for this length alone: `varying={rest!r}`."
        ) from error


def _refuse_callbacks(traced: TracedPrediction) -> None:
    if traced.calls_back:
        raise ValueError(
            "what the model predicts calls Python while it runs, as `eqx.error_if`, `jax.debug.print` and "
            "`jax.pure_callback` do, and an exported program has no Python to call. Leave that out of predictions; "
            "checks of Equinox are left out where the environment variable EQX_ON_ERROR is `off`."
        )


def _program(traced: TracedPrediction, platforms: tuple[str, ...]) -> jax.export.Exported:
    """Return the program of a prediction that can be traced.

    **Raises:** `ValueError` if it can't be exported, with the platforms for which it can.
    """
    try:
        program = traced.program(platforms)
    except Exception as error:
        able = tuple(name for name in platforms if _can_be_exported(traced, name))
        mend = f"Export it for others alone: `platforms={able!r}`." if 0 < len(able) < len(platforms) else ""
        unable = [name for name in platforms if name not in able]
        raise ValueError(
            f"what the model predicts can't be exported for {listed(unable or platforms)}.\n"
            f"  {type(error).__name__}: {_first_line(error)}\n{mend}".rstrip()
        ) from error
    if program.nr_devices != 1:
        raise ValueError(
            f"what the model predicts is for {program.nr_devices} devices, and an exported model for one: the module, "
            "or a step, says itself where arrays are. Leave that to `model.distributed(...)`."
        )
    return program


def _can_be_exported(traced: TracedPrediction, platform: str) -> bool:
    try:
        traced.program((platform,))
    except Exception:
        return False
    return True


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:300]
