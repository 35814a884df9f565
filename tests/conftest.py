"""Every test computes as a training run does."""

from azr_fast.threads import set_environment

set_environment()  # a conftest below this one imports torch
