"""What all tests share: one random seed a run, and the models that whole runs train."""

import os
import secrets
import shutil
from importlib.util import find_spec

import pytest

if find_spec("azr_fast"):  # the daemon's tests need it not
    from azr_fast.threads import set_environment

    set_environment()  # as a training run does, before anything imports torch

if find_spec("hypothesis"):  # a machine with a GPU need not have it
    from hypothesis import settings

    # No deadline: a busy machine is no failure.
    settings.register_profile("azr", deadline=None, print_blob=True)
    settings.load_profile("azr")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    """Processes that run tests beside this one inherit the seed by the environment."""
    seed = os.environ.setdefault("AZR_TEST_SEED", str(secrets.randbits(32)))
    if find_spec("hypothesis") and config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = seed


def pytest_report_header():
    return f"random seed: AZR_TEST_SEED={os.environ['AZR_TEST_SEED']} repeats this run"


@pytest.fixture
def seed():
    value = int(os.environ["AZR_TEST_SEED"])
    print(f"AZR_TEST_SEED={value}")  # pytest shows it with a test that fails
    return value


@pytest.fixture(scope="session")
def tiny_chat_model(tmp_path_factory):
    """A folder: a random two-layer Llama of 6 million weights that SmolLM2's tokenizer serves.

    It learns nothing and writes noise: for what does not depend on what is answered.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from azr_fast.policy.models import resolve_model

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=49152, hidden_size=128, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=2048,
        tie_word_embeddings=True, bos_token_id=1, eos_token_id=2, pad_token_id=2,
        dtype=torch.bfloat16,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("models") / "tiny"
    weights = shutil.ignore_patterns("*.safetensors", "config.json", "generation_config.json")
    shutil.copytree(resolve_model("smollm2-135m").folder, folder, ignore=weights)
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    return folder


REAL = (pytest.mark.slow, pytest.mark.timeout(1800))  # without AVX-512 a step takes minutes


@pytest.fixture(params=["tiny", pytest.param("smollm2-135m", marks=REAL)])
def model_name(request):
    """What `model.name` is set to: the tiny model, and in `make test-all` the real one too."""
    if request.param == "tiny":
        return str(request.getfixturevalue("tiny_chat_model"))
    return request.param
