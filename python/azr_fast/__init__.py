"""Absolute Zero self-play (arXiv 2505.03335), its sandbox and its kernels, each usable alone.

`azr_fast.sandbox` runs untrusted programs, `azr_fast.ops` has losses and log-probabilities of a
language model's head for a torch loop of your own, and the command `azr-fast` trains.
"""

__version__ = "0.1.0"
