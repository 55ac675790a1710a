"""Words that the field doesn't use, or uses for something else, and the places where they are allowed."""

import re

import pytest

from helpers import ROOT

PAGES = [
    *sorted((ROOT / "src").rglob("*.py")),
    *sorted((ROOT / "docs").glob("*.md")),
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")),
]

# A pattern, what to say instead, and what may follow or precede it.
WORDS = {
    r"\ba training\b(?! (run|step|loop|chunk))": "a run, or a training run",
    r"\btrainings\b": "runs",
    r"\banew\b": "again, or from scratch",
    r"\bgo(es|ing)? on with\b": "resume, continue with",
    r"\btraining goes on\b": "training continues",
    r"\b[Ff]igures?\b(?=.{0,40}\b(epoch|metric|loss)\b)": "metric value, or value",
    r"\bkey_words\b": "key data",
    r"\bclass (Hooks|Pace|Cadence|Frozen)\b": "CallbackList, ChunkLength, ValidationFrequency, Static",
}


@pytest.mark.parametrize("pattern", WORDS)
def test_words(pattern):
    found = [
        f"{page.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]!r}; say: {WORDS[pattern]}"
        for page in PAGES
        for text in [page.read_text()]
        for match in re.finditer(pattern, text)
    ]
    assert not found, "\n".join(found)
