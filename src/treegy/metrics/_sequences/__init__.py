"""Metrics of sequences of ids: edits, n-grams and spans. Neither strings nor tokenizers."""
