"""From a GGUF file to a Hugging Face folder in bfloat16."""

from __future__ import annotations

from pathlib import Path

from azr_fast.policy.library import quiet, told


def convert_gguf(gguf: Path, folder: Path, remedy: str) -> None:
    """Write weights expanded to bfloat16, config, tokenizer and chat template into `folder`."""
    import torch
    import transformers
    from safetensors import SafetensorError

    from azr_fast.policy.loading import check_report

    pre_tokenizer = check_gguf(gguf, remedy)
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
    if pre_tokenizer == "smollm":
        _split_digits(tokenizer)
    try:
        model.save_pretrained(folder)
    except SafetensorError as error:
        raise OSError(str(error)) from None  # its errors of writing are not OSErrors
    tokenizer.save_pretrained(folder)


def check_gguf(gguf: Path, remedy: str) -> str | None:
    """Read headers and map every tensor; the name of the pre-tokenizer, where the file has one."""
    from gguf import GGUFReader

    with told(f"{gguf} is truncated or corrupt", remedy):
        field = GGUFReader(gguf).get_field("tokenizer.ggml.pre")
        return None if field is None else str(field.contents())


def _split_digits(tokenizer: object) -> None:
    """SmolLM2 saw every digit as a piece of its own; transformers reads the GGUF without that."""
    from tokenizers import pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    assert isinstance(tokenizer, PreTrainedTokenizerFast)
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), tokenizer.backend_tokenizer.pre_tokenizer]
    )
