"""treegy: Keras's `fit`, Lightning's steps and dependency injection by name, for Equinox models."""

from . import losses as losses
from . import metrics as metrics
from . import regularizers as regularizers
from ._accumulator import Accumulator as Accumulator
from ._accumulator import Masked as Masked
from ._accumulator import Mean as Mean
from ._accumulator import Sum as Sum
from ._errors import CheckpointError as CheckpointError
from ._errors import ContractError as ContractError
from ._errors import DataError as DataError
from ._errors import InjectionError as InjectionError
from ._errors import MissingMethod as MissingMethod
from ._errors import MissingModule as MissingModule
from ._errors import MissingOptimizer as MissingOptimizer
from ._inject import inject as inject
from ._select import At as At
from ._states import States as States
from .losses import Loss as Loss
from .metrics import Metric as Metric
from . import callbacks as callbacks
from ._model import Model as Model
from .loop._history import History as History
from ._summary import Entry as Entry
from ._summary import Summary as Summary
