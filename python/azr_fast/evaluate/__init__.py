"""Benchmarks: games with given tasks, what models score on them, and what the scores can show."""
