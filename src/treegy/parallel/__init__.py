"""Models on several devices: strategies for `Model.distributed`, and making models that are distributed already."""

from .._sharding._data_parallel import DataParallel as DataParallel
from .._sharding._fsdp import FSDP as FSDP
from .._sharding._layout import Layout as Layout
from .._sharding._strategy import Strategy as Strategy
from ._create import create as create
from ._local_part import local_part as local_part
