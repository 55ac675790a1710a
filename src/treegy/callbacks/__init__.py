"""Callbacks: what happens besides training, at the moments that the loop names."""

from ._backup_and_restore import BackupAndRestore as BackupAndRestore
from .._loop._callback import Callback as Callback
from .._loop._callback import Logs as Logs
from .._loop._training_run import TrainingRun as TrainingRun
from ._csv_logger import CSVLogger as CSVLogger
from ._early_stopping import EarlyStopping as EarlyStopping
from ._ema import EMA as EMA
from ._history import History as History
from ._lambda_callback import LambdaCallback as LambdaCallback
from ._learning_rate_scheduler import LearningRateScheduler as LearningRateScheduler
from ._mlflow import MLflow as MLflow
from ._model_checkpoint import ModelCheckpoint as ModelCheckpoint
from ._profiler import Profiler as Profiler
from ._progbar_logger import ProgbarLogger as ProgbarLogger
from ._reduce_lr_on_plateau import ReduceLROnPlateau as ReduceLROnPlateau
from ._remote_monitor import RemoteMonitor as RemoteMonitor
from ._tensorboard import TensorBoard as TensorBoard
from ._terminate_on_nan import TerminateOnNaN as TerminateOnNaN
from ._timer import Timer as Timer
from ._wandb import WandB as WandB
