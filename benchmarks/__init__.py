"""Ours against the straightforward version, timed side by side: `python -m benchmarks --help`."""
