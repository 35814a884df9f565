"""What adapters hold, and what of it is predicted."""

import pytest

from azr_fast.config.lora import LoraConfig
from azr_fast.config.roles import RolesConfig
from azr_fast.config.schema import Config, ModelConfig, UpdateConfig
from azr_fast.policy.footprint import GIB, footprint, learning_elements, read_shape
from azr_fast.policy.loading import load_on_device
from azr_fast.policy.lora import FrozenBase, is_of_adapter
from azr_fast.policy.room import checkpoint_gib

from .test_memory import allocated, batch, kept, open_policy


def open_base(files, dtype):
    model = load_on_device(files, ModelConfig(device="cpu", dtype=dtype))
    return FrozenBase(model, files.name, LoraConfig(rank=4), seed=0)


def adapter_sizes(base):
    named = base.adapted().named_parameters()
    return {name: parameter.numel() for name, parameter in named if is_of_adapter(name)}


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_under_adapters_one_model_is_held_and_little_learns(wide, dtype):
    shape, model = read_shape(str(wide.folder)), ModelConfig(dtype=dtype)
    elements = sum(adapter_sizes(open_base(wide, dtype)).values())

    def held(**roles):
        roles = RolesConfig(**roles)
        pulled = UpdateConfig(kl=0.1)
        config = Config(model=model, roles=roles, lora=LoraConfig(rank=4), update=pulled)
        return footprint(config, shape, "cpu"), checkpoint_gib(config, shape) * GIB

    (two, both), (one, single) = held(proposer="lora"), held(proposer="lora", same_adapter=True)
    whole, _ = held()
    weights = whole.weights * GIB
    assert one.weights * GIB == weights + 4 * elements
    assert two.weights * GIB == weights + 8 * elements
    assert two.gradients == 2 * one.gradients == two.moments / 2 == 8 * elements / GIB
    assert two.masters == two.reference == 0
    assert (two.engine, two.cache, two.head) == (whole.engine, whole.cache, whole.head)
    assert both == 2 * single == 2 * 16 * elements


def test_elements_of_an_adapter_follow_its_targets(wide):
    shape = read_shape(str(wide.folder))
    sizes = adapter_sizes(open_base(wide, "float32"))

    def predicted(*targets):
        lora = LoraConfig(rank=4, targets=targets)
        return learning_elements(Config(roles=RolesConfig(proposer="lora"), lora=lora), shape)

    assert predicted() == sum(sizes.values())
    for kind in ("q_proj", "k_proj", "o_proj", "up_proj", "down_proj"):
        assert predicted(kind) == sum(size for name, size in sizes.items() if kind in name)
    assert predicted("qkv_proj") == predicted(), "as much as all, where names are other ones"


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_adapters_keep_what_whole_weights_keep(wide, dtype):
    """A forward pass leaves no merged weight behind."""
    assert kept(wide, dtype, base=open_base(wide, dtype)) == pytest.approx(
        kept(wide, dtype), rel=0.05
    )


def test_a_policy_of_adapters_adds_little_to_their_base(wide):
    base = open_base(wide, "bfloat16")
    weights = 2 * sum(weight.numel() for weight in base.model.parameters())
    adapter = 4 * sum(adapter_sizes(base).values())
    # The processor's library keeps room from the first update of a process on.
    open_policy(wide, "bfloat16", base).update(batch())
    before = allocated()
    one, other = (open_policy(wide, "bfloat16", base) for _ in range(2))
    one.update(batch())
    other.update(batch())
    assert allocated() - before < 2 * 3 * adapter + 0.5 * weights
