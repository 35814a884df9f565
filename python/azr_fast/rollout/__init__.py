"""Generation: conversations, the engines that decode them, the proof of what they sample."""

from __future__ import annotations

import importlib.util
import logging

from azr_fast.config.schema import ModelConfig, RolloutConfig
from azr_fast.errors import UserError
from azr_fast.policy.models import ModelFiles
from azr_fast.rollout.engine import Engine
from azr_fast.rollout.renderer import Renderer

log = logging.getLogger(__name__)


def open_engine(
    config: RolloutConfig, files: ModelFiles, renderer: Renderer, model: ModelConfig, seed: int
) -> Engine:
    """Start the engine of the config; "auto" takes vLLM where it is installed.

    Raises UserError when the engine is not installed or cannot serve this model here.
    """
    stops = renderer.stops
    if chosen_engine(config) == "vllm":
        from azr_fast.rollout.vllm_engine import VllmEngine

        return VllmEngine(config, files, stops, model, seed)
    from azr_fast.rollout.transformers_engine import TransformersEngine

    return TransformersEngine(config, files, stops, model)


def chosen_engine(config: RolloutConfig) -> str:
    """The name of the engine that this config takes here. Raises UserError."""
    installed = importlib.util.find_spec("vllm") is not None
    if config.engine == "vllm" and not installed:
        raise UserError(
            "vLLM is not installed: `make train` installs it, or use --rollout.engine transformers"
        )
    if config.engine == "auto" and not installed:
        log.warning("vLLM is not installed: using the transformers engine, about ten times slower")
    return "vllm" if installed and config.engine != "transformers" else "transformers"
