"""treegy: Keras's `fit`, Lightning's steps and dependency injection by name, for Equinox models."""

from typing import TYPE_CHECKING, Any

from ._terms._accumulator import Accumulator as Accumulator
from ._terms._weights import Masked as Masked
from ._terms._accumulator import Mean as Mean
from ._terms._accumulator import Sum as Sum
from ._errors import CheckpointError as CheckpointError
from ._errors import ContractError as ContractError
from ._errors import DataError as DataError
from ._errors import InjectionError as InjectionError
from ._errors import MissingMethod as MissingMethod
from ._errors import MissingModule as MissingModule
from ._errors import MissingOptimizer as MissingOptimizer
from ._errors import ProcessError as ProcessError
from ._errors import RetraceWarning as RetraceWarning
from ._injection._inject import inject as inject
from ._injection._at import At as At
from ._steps._dtype_policy import DTypePolicy as DTypePolicy
from ._steps._per_model import PerModel as PerModel
from ._steps._states import States as States
from ._terms._loss import Loss as Loss
from ._terms._metric import Metric as Metric
from .optimizers import Optimizer as Optimizer
from .optimizers import with_ema as with_ema
from ._model._model import Model as Model
from ._model._cross_validate import CrossValidated as CrossValidated
from ._model._cross_validate import cross_validate as cross_validate
from ._model._stack import stack as stack
from ._model._stack import unstack as unstack
from ._export._load_exported import ExportedModel as ExportedModel
from ._export._load_exported import load_exported as load_exported
from ._loop._every import Every as Every
from ._loop._caches import clear_caches as clear_caches
from ._loop._history import History as History
from ._loop._rescue import rescued as rescued
from ._inspect._summary_tables import Entry as Entry
from ._inspect._summary import Summary as Summary

__version__ = "0.1.0"

# A hundred classes, of which a program uses a few: they are imported when they are first looked at.
if TYPE_CHECKING:
    from . import callbacks as callbacks
    from . import debug as debug
    from . import losses as losses
    from . import metrics as metrics
    from . import parallel as parallel
    from . import plot as plot
    from . import regularizers as regularizers
    from . import testing as testing
else:
    # Out of the sight of type checkers, which take a name that is misspelt for one that this may find.
    _PACKAGES = ("callbacks", "debug", "losses", "metrics", "parallel", "plot", "regularizers", "testing")

    def __getattr__(name: str) -> Any:
        if name in _PACKAGES:
            import importlib

            return importlib.import_module(f"{__name__}.{name}")
        import difflib

        near = difflib.get_close_matches(name, __dir__(), n=1)
        mend = f" Did you mean `{near[0]}`?" if near else ""
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}.{mend}")

    def __dir__() -> list[str]:
        ours = (n for n, value in globals().items() if getattr(value, "__module__", "").startswith(__name__))
        return sorted({"__version__", *_PACKAGES, *(n for n in ours if not n.startswith("_"))})
