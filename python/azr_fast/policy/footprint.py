"""How much memory a run will hold at most, part by part, before anything is loaded.

The parts are those of the moment at which most is held: the end of a pack's forward pass. Sizes of
the model come from its config and the headers of its weights; torch is not imported.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from functools import cache
from math import prod
from pathlib import Path

from azr_fast.config.schema import Config
from azr_fast.policy.gguf import EMBEDDING, HEAD, repeats_embedding
from azr_fast.policy.models import local_files

GIB = 2**30
BYTES = {"bfloat16": 2, "float32": 4}
# GiB, by engine: with vLLM what a run held between updates beyond the other parts; without, less.
LIBRARIES = {"transformers": 0.5, "vllm": 0.9}
HEAD_CHUNK = 1024  # tokens whose logits are there at once (ops/products.py); with our kernels fewer


@dataclass(frozen=True, slots=True)
class ModelShape:
    """Sizes of a model, in elements."""

    parameters: int
    vocabulary: int
    hidden: int
    feed_forward: int
    layers: int
    queries: int  # width of all query heads of a layer
    keys: int  # width of all key heads
    tied: bool  # the head is the embedding


@dataclass(frozen=True, slots=True)
class Footprint:
    """GiB at the peak of an update, by part."""

    weights: float  # of all policies; with adapters of one model and of all adapters
    reference: float  # weights of the model that `update.kl` pulls towards; under adapters the same
    masters: float  # fp32 copies that AdamW moves; weights in fp32 need none
    gradients: float  # fp32; of all policies where they learn in one step
    moments: float  # AdamW's two
    engine: float  # weights of its own
    cache: float  # keys and values of the engine
    activations: float
    head: float  # logits of a chunk
    libraries: float

    def total(self) -> float:
        """What all parts take together, in GiB."""
        return sum(self.parts().values())

    def parts(self) -> dict[str, float]:
        """What each part takes, in GiB, by its name."""
        return asdict(self)


def read_shape(name: str) -> ModelShape | None:
    """The shape of a model by its name in the config; None where its files are not on this machine
    or do not tell, as with an architecture that names its sizes otherwise."""
    # Whatever is wrong with the files, loading them says it better; here they only do not tell.
    try:
        files = local_files(name)
        if files is None:
            return None
        shape = _shape_of_gguf(files) if files.is_file() else _shape_of_folder(files)
    except Exception:
        return None
    sizes = asdict(shape).values()
    return shape if all(isinstance(size, int) and size >= 0 for size in sizes) else None


def footprint(config: Config, shape: ModelShape, device: str) -> Footprint:
    """What a run of `config` holds on `device`, "cpu" or "cuda".

    On a GPU the engine's share is left out: `rollout.gpu_memory_fraction` says how large it is.
    """
    element, adapters = BYTES[config.model.dtype], config.roles.adapters
    weights = shape.parameters * element / GIB
    whole = 0 if adapters else shape.parameters  # that is learnt whole, and has masters
    learning, copies = learning_elements(config, shape), 2 if config.roles.apart else 1
    at_once = 1 if config.schedule.name == "alternate" else copies
    engine = _engine(config)
    own_head = shape.vocabulary * shape.hidden * element / GIB if shape.tied else 0.0
    on_cpu = device == "cpu"
    return Footprint(
        weights=weights + learning * 4 * copies / GIB if adapters else weights * copies,
        reference=weights if config.update.kl and not adapters else 0.0,
        masters=0.0 if config.model.dtype == "float32" else whole * 4 * copies / GIB,
        gradients=learning * 4 * at_once / GIB,
        moments=2 * learning * BYTES[config.update.moments] * copies / GIB,
        engine=(weights + (own_head if engine == "vllm" else 0.0)) * on_cpu,
        cache=(config.rollout.cache_gib if engine == "vllm" else _cache(config, shape)) * on_cpu,
        activations=_activations(config, shape) / GIB,
        head=HEAD_CHUNK * shape.vocabulary * (element if on_cpu else 4) / GIB,
        libraries=LIBRARIES[engine],
    )


def learning_elements(config: Config, shape: ModelShape) -> int:
    """Elements of what learns in one policy: the model's, or those of an adapter over it. Names of
    layers are those of most models; for layers called otherwise it is as if all had an adapter."""
    if not config.roles.adapters:
        return shape.parameters
    hidden, queries, keys, wide = shape.hidden, shape.queries, shape.keys, shape.feed_forward
    sums = {  # of inputs and outputs
        "q_proj": hidden + queries,
        "k_proj": hidden + keys,
        "v_proj": hidden + keys,
        "o_proj": queries + hidden,
        "gate_proj": hidden + wide,
        "up_proj": hidden + wide,
        "down_proj": wide + hidden,
    }
    targets = config.lora.targets
    known = targets if targets and set(targets) <= sums.keys() else sums
    return config.lora.rank * shape.layers * sum(sums[name] for name in known)


def _engine(config: Config) -> str:
    if config.rollout.engine != "auto":
        return config.rollout.engine
    return "vllm" if importlib.util.find_spec("vllm") else "transformers"


def _cache(config: Config, shape: ModelShape) -> float:
    """GiB of the transformers engine's cache: twice, since a longer one is made from the last."""
    rollout = config.rollout
    tokens = rollout.concurrency * (rollout.max_prompt_tokens + rollout.max_new_tokens)
    layer = 2 * shape.keys * BYTES[config.model.dtype]
    return tokens * layer * (shape.layers + 1) / GIB


def kept_by_a_layer(shape: ModelShape, element: int, whole: Collection[str] = ()) -> int:
    """Bytes of a token that the forward pass of a layer leaves for the backward pass, where the
    blocks `whole` are computed again.

    policy/activations.py and policy/attention.py say what is kept: of both norms input and result,
    queries, keys, values, attention's result, and the wide products of the feed-forward block.
    """
    attention = 0 if "attention" in whole else 2 * shape.queries + 2 * shape.keys
    feed_forward = 0 if "feed_forward" in whole else 2 * shape.feed_forward
    return (4 * shape.hidden + attention + feed_forward) * element


def _activations(config: Config, shape: ModelShape) -> float:
    """Bytes that a pack's forward pass leaves, and what the gradient of one layer needs besides."""
    element = BYTES[config.model.dtype]
    rollout = config.rollout
    tokens = max(config.update.pack_tokens, rollout.max_prompt_tokens + rollout.max_new_tokens)
    kept = kept_by_a_layer(shape, element)
    working = 4 * shape.feed_forward * element + 6 * shape.hidden * 4
    if config.update.recompute:  # the input of each layer; one layer whole, with nothing left out
        layers = shape.hidden * element * shape.layers + kept
        working += 2 * shape.feed_forward * element + 4 * shape.hidden * 4
    else:
        whole = config.update.recompute_blocks
        layers = kept_by_a_layer(shape, element, whole) * shape.layers
        working += kept - layers // shape.layers  # of the block that is computed again
    merged = shape.hidden * shape.feed_forward * element if config.roles.adapters else 0
    return float(tokens * (layers + working) + merged)


def _shape_of_folder(folder: Path) -> ModelShape:
    config = json.loads((folder / "config.json").read_bytes())
    if "text_config" in config:  # of a model that also sees or hears
        config = config["text_config"]
    heads, hidden = config["num_attention_heads"], config["hidden_size"]
    width = config.get("head_dim") or hidden // heads
    return ModelShape(
        parameters=sum(map(_elements, folder.glob("*.safetensors"))),
        vocabulary=config["vocab_size"],
        hidden=hidden,
        feed_forward=config["intermediate_size"],
        layers=config["num_hidden_layers"],
        queries=heads * width,
        keys=(config.get("num_key_value_heads") or heads) * width,
        tied=bool(config.get("tie_word_embeddings", True)),
    )


def _elements(file: Path) -> int:
    """Elements of all tensors of a safetensors file, from its header: a length of eight bytes, then
    JSON (https://github.com/huggingface/safetensors, "Format")."""
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(min(length, file.stat().st_size)))  # it may be no such file
    header.pop("__metadata__", None)
    return sum(prod(tensor["shape"]) for tensor in header.values())


@cache  # reading the vocabulary of a file takes gguf seconds
def _shape_of_gguf(file: Path) -> ModelShape:
    """From the fields that every architecture has (github.com/ggml-org/ggml, docs/gguf.md)."""
    from gguf import GGUFReader

    reader = GGUFReader(file)
    sizes = {tensor.name: int(tensor.n_elements) for tensor in reader.tensors}
    if repeats_embedding(reader):
        del sizes[HEAD]
    fields = {key.partition(".")[2]: field for key, field in reader.fields.items()}

    def size(key: str, otherwise: int | None = None) -> int:
        return int(fields[key].contents()) if otherwise is None or key in fields else otherwise

    heads, hidden = size("attention.head_count"), size("embedding_length")
    width = size("attention.key_length", hidden // heads)
    return ModelShape(
        parameters=sum(sizes.values()),
        vocabulary=sizes[EMBEDDING] // hidden,
        hidden=hidden,
        feed_forward=size("feed_forward_length"),
        layers=size("block_count"),
        queries=heads * width,
        keys=size("attention.head_count_kv", heads) * width,
        tied=HEAD not in sizes,
    )
