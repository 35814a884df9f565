"""The commands that help, README and docs print: found by reading them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from azr_fast.cli import commands, sandbox
from azr_fast.cli.parser import Parser

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "sandbox_daemon" / "README.md",
]
SHELL = {"", "bash", "sh", "shell", "console"}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:^    .*\n)+", re.MULTILINE)
# What a line of a block that names no language begins with where it is a command.
PROGRAM = re.compile(
    r"^(?:\$ )?(?:[A-Z_]+=\S+ )*(?:\.?[\w/.-]*/)?"
    r"(?:azr-fast|azr-sandboxd|make|pip|docker|curl|echo|cat|cmake|ctest|python3?|redis-\w+|pytest|"
    r"groupadd|cp|systemctl|cibuildwheel|hf|vllm|transformers)(?: |$)"
)


@dataclass(frozen=True, slots=True)
class Block:
    """Commands that belong together, such as those of one fence."""

    source: str
    text: str

    @property
    def commands(self) -> list[str]:
        """Each with its continuation lines and here-documents, as bash reads it."""
        return list(_joined(self.text.splitlines()))


def _joined(lines: list[str]) -> Iterator[str]:
    waiting = iter(lines)
    for line in waiting:
        command = line
        while command.endswith("\\"):
            command += "\n" + next(waiting)
        if here := re.search(r"<<'?(\w+)'?", command):
            for more in waiting:
                command += "\n" + more
                if more == here[1]:
                    break
        if command.strip() and not command.lstrip().startswith("#"):
            yield command


def of_pages() -> list[Block]:
    """The shell blocks of README and docs."""
    return [block for page in PAGES for block in _of_page(page)]


def _of_page(page: Path) -> Iterator[Block]:
    text, name = page.read_text(encoding="utf-8"), str(page.relative_to(ROOT))
    for fence in FENCE.finditer(text):
        body = fence[2]
        first = body.lstrip().partition("\n")[0]
        if fence[1] in SHELL and (fence[1] or PROGRAM.match(first)):
            yield Block(name, body)
    for indented in INDENTED.finditer(FENCE.sub("", text)):
        lines = [line[4:] for line in indented[0].splitlines()]
        prompted = any(line.startswith("$ ") for line in lines)
        kept = [line[2 * prompted :] for line in lines if line.startswith("$ ") or not prompted]
        if kept and PROGRAM.match(kept[0]):
            yield Block(name, "\n".join(kept))


def of_help() -> list[Block]:
    """The examples of each command's help."""
    found = []
    for name, parser in parsers():
        text = f"{parser.description or ''}\n{parser.epilog or ''}"
        lines = [line[2:] for line in text.splitlines() if line.startswith("  ")]
        examples = [line for line in lines if PROGRAM.match(line)]
        if examples:
            found.append(Block(f"{name} --help", "\n".join(examples)))
    return found


def parsers() -> Iterator[tuple[str, Parser]]:
    """The parser of every command, and of those of `sandbox`."""
    for name in commands.COMMANDS:
        parser = commands.parser_of(name, [])
        yield f"azr-fast {name}", parser
    for name, module in sandbox.COMMANDS.items():
        parser = Parser(prog=f"azr-fast sandbox {name}", description=module.__doc__)
        yield f"azr-fast sandbox {name}", parser


def inline_commands() -> list[tuple[str, str]]:
    """Whole commands between backticks on pages and in help, with where they stand."""
    texts = [(str(page.relative_to(ROOT)), page.read_text(encoding="utf-8")) for page in PAGES]
    texts += [
        (name, f"{parser.description or ''}\n{parser.epilog or ''}") for name, parser in parsers()
    ]
    found = [
        (source, " ".join(command.split()))
        for source, text in texts
        for command in re.findall(r"`(azr-fast [^`]+)`", FENCE.sub("", text))
    ]
    return [one for one in found if not re.search(r"COMMAND|\||\.\.\.", one[1])]


def python_blocks(page: Path) -> list[str]:
    """The fences of Python on a page."""
    return [f[2] for f in FENCE.finditer(page.read_text(encoding="utf-8")) if f[1] == "python"]
