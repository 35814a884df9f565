"""From a GGUF file to a Hugging Face folder in bfloat16."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from azr_fast.policy.library import quiet, told

if TYPE_CHECKING:
    from gguf import GGUFReader

# Raised when a conversion writes other files than before: then no earlier cached folder is used.
CONVERSION = 2
HEAD, EMBEDDING = "output.weight", "token_embd.weight"
# The relative distance of a head and an embedding, over some rows, below which they are one matrix
# that was quantised twice: 0.04 between Q5_0 and Q8_0; matrices that were trained apart are over 1.
SAME_MATRIX = 0.5
ROWS_COMPARED = 1024


def convert_gguf(gguf: Path, folder: Path, remedy: str) -> None:
    """Write weights expanded to bfloat16, config, tokenizer and chat template into `folder`."""
    import torch
    import transformers
    from safetensors import SafetensorError

    from azr_fast.policy.loading import check_report

    reader = check_gguf(gguf, remedy)
    source: dict[str, str] = {"gguf_file": gguf.name}
    with quiet(), told(f"cannot load {gguf}", "give the model as safetensors"):
        model, report = transformers.AutoModelForCausalLM.from_pretrained(
            gguf.parent,
            quantization_config=transformers.GgufConfig(dequantize=True),
            dtype=torch.bfloat16,
            trust_remote_code=False,
            output_loading_info=True,
            **source,
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            gguf.parent, trust_remote_code=False, **source
        )
    check_report(gguf, report)
    if repeats_embedding(reader):
        _tie_head(model)
    if _pre_tokenizer(reader) == "smollm":
        _split_digits(tokenizer)
    try:
        model.save_pretrained(folder)
    except SafetensorError as error:
        raise OSError(str(error)) from None  # its errors of writing are not OSErrors
    tokenizer.save_pretrained(folder)


def check_gguf(gguf: Path, remedy: str) -> GGUFReader:
    """Read headers and map every tensor. Raises UserError for a file that is truncated."""
    from gguf import GGUFReader

    with told(f"{gguf} is truncated or corrupt", remedy):
        return GGUFReader(gguf)


def repeats_embedding(reader: GGUFReader) -> bool:
    """Whether the file holds a tied embedding a second time, as the head, in another quantisation.

    Some converters write both. Trained as two matrices they would cost memory and part ways.
    """
    import numpy
    from gguf import dequantize

    tensors = {tensor.name: tensor for tensor in reader.tensors}
    if HEAD not in tensors:
        return False
    head, embedding = (
        dequantize(tensors[name].data[:ROWS_COMPARED], tensors[name].tensor_type)
        for name in (HEAD, EMBEDDING)
    )
    distance = numpy.linalg.norm(head - embedding) / numpy.linalg.norm(embedding)
    return bool(distance < SAME_MATRIX)


def _tie_head(model: Any) -> None:
    """Keep the head's numbers: converters give the head at least the embedding's precision."""
    model.get_input_embeddings().weight = model.get_output_embeddings().weight
    model.config.tie_word_embeddings = True
    model.tie_weights()


def _pre_tokenizer(reader: GGUFReader) -> str | None:
    field = reader.get_field("tokenizer.ggml.pre")
    return None if field is None else str(field.contents())


def _split_digits(tokenizer: object) -> None:
    """SmolLM2 saw every digit as a piece of its own; transformers reads the GGUF without that."""
    from tokenizers import pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    assert isinstance(tokenizer, PreTrainedTokenizerFast)
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), tokenizer.backend_tokenizer.pre_tokenizer]
    )
