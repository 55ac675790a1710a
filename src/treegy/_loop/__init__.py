"""The only loop in Python, and the only side effects: epochs, chunks of many steps, callbacks, progress, history.

What one step does is in `_steps`; callbacks that treegy has are in `callbacks`.
"""
