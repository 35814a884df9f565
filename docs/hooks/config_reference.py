"""Pages that are made from the code when the site is built: the keys of a run, and what lies with
the daemon and the examples."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from azr_fast.config.games import find_game, game_names
from azr_fast.config.keys import allowed, keys_of, to_text
from azr_fast.config.schema import Config

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).parents[2]
DAEMON = ROOT / "sandbox_daemon"
COPIES = {
    "security.md": DAEMON / "SECURITY.md",
    "sandbox-protocol.md": DAEMON / "PROTOCOL.md",
    "sandbox-daemon.md": DAEMON / "README.md",
    "examples.md": ROOT / "examples" / "README.md",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages to those of the folder."""
    from mkdocs.structure.files import File

    pages = {name: copied(path) for name, path in COPIES.items()}
    for name, text in (pages | {"config.md": reference()}).items():
        files.append(File.generated(config, name, content=text))
    return files


LINK = re.compile(r"\[([^\]]+)\]\((?!https?://|#)([^)#]+)(#[^)]*)?\)")


def copied(path: Path) -> str:
    """The text of a page. Its links to others that are copied have the names of the site; of links
    to other files, which the site lacks, the text stays."""
    names = {
        other.relative_to(path.parent).as_posix(): name
        for name, other in COPIES.items()
        if other.is_relative_to(path.parent)
    }

    def renamed(link: re.Match[str]) -> str:
        text, target, anchor = link[1], link[2], link[3] or ""
        return f"[{text}]({names[target]}{anchor})" if target in names else text

    return LINK.sub(renamed, path.read_text(encoding="utf-8"))


def reference() -> str:
    """Every key of a run with its type, default and meaning, as Markdown: those of every game, then
    what each installed game adds or means otherwise."""
    parts = [
        "# Configuration",
        "A run is a TOML file: a preset by its name, or a file of yours. Every key is an option of "
        "`azr-fast train` too, `--section.key VALUE`. This page is made from the models that check "
        "them.",
        *_sections(Config, keys_of(Config).sections),
    ]
    for name in game_names():
        model = find_game(name).config
        own = [
            section
            for section, kind in keys_of(model).sections.items()
            if section not in Config.model_fields or kind is not _core(section)
        ]
        parts += [f"## The game `{name}`", *_sections(model, own)]
    return "\n\n".join(parts) + "\n"


def _core(section: str) -> type | None:
    return keys_of(Config).sections.get(section)


def _sections(model: type[Config], sections: object) -> list[str]:
    keys = keys_of(model)
    parts = []
    for section in sections:  # type: ignore[attr-defined]
        described = (keys.sections[section].__doc__ or "").strip()
        rows = [
            _row(key.partition(".")[2], field)
            for key, field in keys.fields.items()
            if key.startswith(f"{section}.")
        ]
        head = ["| key | takes | default | meaning |", "|---|---|---|---|"]
        parts += [f"### `[{section}]`", described, "\n".join(head + rows)]
    return parts


def _row(name: str, field: object) -> str:
    made = field.default_factory is not None  # type: ignore[attr-defined]
    default = "chosen for the machine" if made else _code(to_text(field.default))  # type: ignore[attr-defined]
    cells = (f"`{name}`", allowed(field), default, field.description or "")  # type: ignore[arg-type, attr-defined]
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _code(text: str) -> str:
    return f"`{text}`" if text else "empty"
