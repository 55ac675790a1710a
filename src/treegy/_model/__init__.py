"""`Model`, a few lines over the rooms below it; the checks of its fields, and how it is replaced.

What its methods do is in `_loop`, `_steps`, `_saving` and `_inspect`.
"""
