"""Regularizers: losses of the parameters alone."""

from ._global_l1 import GlobalL1 as GlobalL1
from ._global_l1 import global_l1 as global_l1
from ._global_l1_l2 import GlobalL1L2 as GlobalL1L2
from ._global_l1_l2 import global_l1_l2 as global_l1_l2
from ._global_l2 import GlobalL2 as GlobalL2
from ._global_l2 import global_l2 as global_l2
