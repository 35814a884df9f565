"""The entry point `azr-fast`.

Exit codes: 0 done (a run that a signal stopped after a checkpoint included, and one whose output
could not be written), 1 `doctor` or `sandbox` found something wrong (`sandbox run` has the exit
status of the script), or the reader of another command's output went away, 2 bad input or a machine
that lacks something (one line on stderr), 130 stopped at once: by Ctrl-C, or by any of the signals
that stop a run while it still loads. A second signal insists: SIGTERM and SIGUSR1 then end
the process as signals do; SIGHUP does not, since a terminal that closes sends two.

This module imports little, so that a signal in the second that the rest takes is handled too.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import nullcontext

from azr_fast.cli.output import drop_unwritable, open_closed_descriptors
from azr_fast.cli.stop import SIGNALS, handled_by, interrupt, leave
from azr_fast.errors import UserError
from azr_fast.observe.typed import how_to_install
from azr_fast.threads import set_environment

# What training needs and a bare `pip install .` leaves out.
FOR_TRAINING = {
    "torch",
    "transformers",
    "safetensors",
    "numpy",
    "gguf",
    "huggingface_hub",
    "tokenizers",
    "nltk",
    "scipy",
}


EXTRAS = {
    **dict.fromkeys(FOR_TRAINING, "cpu"),
    **dict.fromkeys(("fastapi", "uvicorn"), "gateway"),
    **dict.fromkeys(("scipy", "pyarrow"), "eval"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    set_environment()  # before anything imports torch
    words = list(sys.argv[1:] if arguments is None else arguments)
    trains = words[:1] == ["train"]
    prepare_streams(trains)
    if sys.stderr is None or not sys.stderr.isatty():
        for switch in ("HF_HUB_DISABLE_PROGRESS_BARS", "TQDM_DISABLE"):
            os.environ.setdefault(switch, "1")  # each bar would be a line of bars
    try:
        with handled_by(interrupt) if trains else nullcontext():
            return run(words)
    except UserError as error:
        return refuse(str(error))
    except BrokenPipeError:  # as `azr-fast doctor | head` does
        if trains:  # it was not the display
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at exit
        return 1
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name not in EXTRAS:
            raise
        return refuse(f"{name} is not installed: {how_to_install(EXTRAS[name])}")
    except KeyboardInterrupt:
        print("azr-fast: stopped", file=sys.stderr)
        return 130


def run(words: Sequence[str]) -> int:
    """Run the command that `words` begin with."""
    with handled_by(leave, SIGNALS if words[:1] == ["train"] else (signal.SIGINT,)):
        from azr_fast.cli.commands import parse

        space = parse(words)
    code = int(space.run(space))
    sys.stdout.flush()
    return code


def refuse(message: str) -> int:
    """Say what was wrong and what to do about it; the exit code."""
    print(f"azr-fast: error: {message}", file=sys.stderr)
    return 2


def prepare_streams(trains: bool) -> None:
    """A run outlives its display, and any command what it says on stderr.

    A character that the terminal lacks is shown as ?, where it would end the program.
    """
    open_closed_descriptors()
    drop_unwritable("stderr")
    if trains or sys.stdout is None:  # None: it was closed
        drop_unwritable("stdout")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
