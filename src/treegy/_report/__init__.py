"""A page that tells of a run: HTML that a browser opens without a network and without another file.

What the page says about a run is put together in `_loop/_report.py`.
"""
