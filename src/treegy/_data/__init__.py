"""From what users pass as `x` and `y` to batches on the device: sources, feeds, the permutation of a pass.

It knows no model. What a loss makes of labels and weights is in `_terms`; who asks for batches is in `_loop`.
"""
