"""What more than one metric accumulates: counts, moments, stacks of values, and how equal ones are shared.

`Accumulator`, `Mean` and `Sum` themselves are in `treegy/_terms/_accumulator.py`.
"""
