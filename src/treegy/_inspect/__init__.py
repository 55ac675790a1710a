"""Looking at a model without training it: the table of its layers, and what its losses and metrics read.

What looks at values, such as doubts and the first NaN, is in `debug`.
"""
