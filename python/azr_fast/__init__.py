"""Reinforcement learning in which a language model poses its own problems and solves them."""
