"""`azr-fast eval`: what a model scores on benchmarks, and whether that is more than another."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from azr_fast.errors import UserError
from azr_fast.evaluate.registry import benchmark_names

DESCRIPTION = """\
Score a model, the newest checkpoint of a run, or a checkpoint on benchmarks.

Answers are kept in --store and never sampled twice: they are found again by
the weights, the engine, the prompt, the sampling and the seed. Ctrl-C keeps
what is done; the same command goes on."""

EPILOG = """\
examples:
  azr-fast eval --list
  azr-fast eval smollm2-135m --benchmarks cruxeval-o --data cruxeval.jsonl --limit 50
  azr-fast eval runs/hour --against smollm2-135m --benchmarks gsm8k,math500
  azr-fast eval runs/hour --benchmarks humaneval --samples 8 --temperature 0.8 --k 1,8
  azr-fast eval runs/hour --benchmarks humaneval --regrade
  azr-fast eval --validate humaneval --data HumanEval.jsonl.gz

without --data a benchmark comes from the Hugging Face hub; docs/evaluate.md tells more."""

DEFAULT = "cruxeval-i,cruxeval-o"


def add_options(parser: argparse.ArgumentParser, _words: Sequence[str]) -> None:
    """The options of `eval`."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.usage = "azr-fast eval MODEL|RUN|CHECKPOINT [--benchmarks NAME,NAME ...] [option ...]"
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "model",
        metavar="MODEL|RUN|CHECKPOINT",
        nargs="?",
        help="built-in name, folder, .gguf file or hub id; a run's folder; RUN/checkpoints/step-N",
    )
    _add_what(parser)
    _add_how(parser)
    _add_machine(parser)
    parser.set_defaults(run=evaluate)


def _add_what(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what is asked")
    group.add_argument(
        "--benchmarks",
        metavar="NAME,NAME",
        default=DEFAULT,
        help="what --list lists (default: %(default)s)",
    )
    group.add_argument(
        "--data",
        metavar="FILE|NAME=FILE",
        action="append",
        default=[],
        help="records as the authors publish them: JSON lines, JSON, .gz or Parquet; may be "
        "repeated (default: the hub)",
    )
    group.add_argument("--form", default="", help="of the prompt (default: the benchmark's first)")
    group.add_argument("--limit", metavar="N", type=positive, default=0, help="first N items only")
    group.add_argument("--list", action="store_true", help="list benchmarks and their forms")
    group.add_argument(
        "--validate",
        metavar="NAME",
        help="try the judge, without a model: right answers pass, others score 0",
    )


def _add_how(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how it is answered and told")
    group.add_argument(
        "--against", metavar="OTHER", help="compare, item by item, with another model or run"
    )
    group.add_argument("--samples", metavar="N", type=positive, default=1, help="answers per item")
    group.add_argument(
        "--temperature",
        metavar="T",
        type=float,
        help="0 is greedy (default: 0, or 0.8 with several samples)",
    )
    group.add_argument(
        "--top-p",
        metavar="P",
        type=float,
        default=1.0,
        help="sample from the likeliest tokens that have this share of probability (default: 1)",
    )
    group.add_argument("--k", metavar="K,K", default="1", help="pass@k to tell (default: 1)")
    group.add_argument("--seed", metavar="N", type=int, default=0, help="of sampling")
    group.add_argument(
        "--max-new-tokens", metavar="N", type=positive, help="(default: the benchmark's)"
    )
    group.add_argument(
        "--regrade", action="store_true", help="judge saved answers again, without the model"
    )
    group.add_argument(
        "--store",
        metavar="DIR",
        type=Path,
        default=Path("evals"),
        help="where answers are kept (default: %(default)s)",
    )
    group.add_argument("--inspect", metavar="DIR", type=Path, help="write logs for inspect view")
    group.add_argument("--json", metavar="FILE", type=Path, help="write the scores as JSON")


def _add_machine(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("where it runs")
    group.add_argument(
        "--engine", choices=("auto", "vllm", "transformers"), default="auto", help="what decodes"
    )
    group.add_argument("--dtype", choices=("bfloat16", "float32"), help="of the weights")
    group.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="auto: a GPU where there is one",
    )
    group.add_argument(
        "--concurrency", metavar="N", type=positive, default=64, help="answers decoded at once"
    )
    group.add_argument(
        "--cache-gib", metavar="GIB", type=float, default=1.0, help="KV cache of the CPU engine"
    )


def positive(text: str) -> int:
    """A number from 1."""
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"'{text}' is no number from 1")
    return int(text)


def evaluate(space: argparse.Namespace) -> int:
    """Run the command. Returns the exit code."""
    from azr_fast.cli import eval_commands

    if space.list:
        return eval_commands.list_benchmarks()
    if space.validate:
        return eval_commands.validate_benchmark(space)
    if not space.model:
        names = ", ".join(benchmark_names())
        raise UserError(
            f"nothing to evaluate: name a model, a run or a checkpoint (benchmarks: {names})"
        )
    return eval_commands.regrade(space) if space.regrade else eval_commands.score(space)
