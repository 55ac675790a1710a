"""What treegy adds to Optax: optimizers that can be watched."""

from ._optimizer import Optimizer as Optimizer
from ._with_ema import with_ema as with_ema
