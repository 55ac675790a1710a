"""Finding out what went wrong in a step."""

from ._explain_nan import explain_nan as explain_nan
