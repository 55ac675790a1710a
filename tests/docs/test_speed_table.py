"""What the front page says of speed is what `benchmarks/README.md` has."""

import re

from helpers import ROOT

COLUMNS = {"a loop of `eqx.filter_jit` steps": "hand-written", "Keras on JAX": "Keras"}


def tables(text: str) -> list[list[list[str]]]:
    """The tables of a page: rows of cells."""
    blocks = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    return [[[cell.strip() for cell in row.strip("|").split("|")] for row in block.splitlines()] for block in blocks]


def number(cell: str) -> float:
    (found,) = re.findall(r"\d+\.\d+", cell.partition("(")[0])
    return round(float(found), 2)


def test_the_front_page_has_the_figures_that_were_measured():
    (shown,) = [table for table in tables((ROOT / "docs/index.md").read_text()) if "PyTorch" in table[0]]
    measured = next(t for t in tables((ROOT / "benchmarks/README.md").read_text()) if "hand-written" in t[0])
    rows = {row[0]: dict(zip(measured[0], row, strict=True)) for row in measured[2:]}
    assert len(shown) > 3
    for row in shown[2:]:
        for title, cell in zip(shown[0][1:], row[1:], strict=True):
            # Rounded to two places, from two or three.
            assert abs(number(cell) - float(number(rows[row[0]][COLUMNS.get(title, title)]))) < 0.006, (row[0], title)
