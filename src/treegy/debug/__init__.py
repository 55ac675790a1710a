"""Finding out what went wrong in a step, and what looks wrong about the values that losses and metrics read."""

from ._doubts import doubts as doubts
from ._explain_nan import explain_nan as explain_nan
