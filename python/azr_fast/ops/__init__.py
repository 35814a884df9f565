"""Numerical operations with a choice of implementation; the torch versions are the oracles."""
