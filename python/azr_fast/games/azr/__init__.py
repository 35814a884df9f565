"""Absolute Zero Reasoner (arXiv 2505.03335): deduction, abduction and induction over programs."""

from azr_fast.games.azr.game import AzrGame

__all__ = ["AzrGame"]
