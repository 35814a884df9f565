"""From a preset or a TOML file, and overrides, to a checked `Config`; and back to TOML text."""

from __future__ import annotations

import difflib
import json
import logging
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from azr_fast.config.keys import FIELDS, SECTIONS, allowed, from_text
from azr_fast.config.schema import Config
from azr_fast.errors import UserError

log = logging.getLogger(__name__)

# Keys that earlier versions wrote into runs, which are resumed without them.
RETIRED = {"parity.max_mean", "parity.max_any"}
PRESETS_FOLDER = Path(__file__).with_name("presets")

Table = dict[str, dict[str, Any]]


def preset_names() -> list[str]:
    """The presets that come with the package."""
    return sorted(path.stem for path in PRESETS_FOLDER.glob("*.toml"))


def nearest(word: str, choices: Iterable[str]) -> str:
    """The choice spelled most like `word`. Dotted words are compared part by part from the end."""

    def likeness(choice: str) -> float:
        pairs = zip(reversed(word.split(".")), reversed(choice.split(".")), strict=False)
        return sum(difflib.SequenceMatcher(None, *pair).ratio() for pair in pairs)

    return max(choices, key=likeness)


def load_config(preset: str | Path, overrides: Mapping[str, Any] | None = None) -> Config:
    """The preset named, or the TOML file at a path, with `overrides` (dotted key to value or text).

    A key that the file leaves out has the default of the schema. UserError on an unknown preset,
    section or key, on a value that is not allowed, and on TOML that does not parse.
    """
    table = _read_table(_preset_path(preset))
    for key, value in (overrides or {}).items():
        if key not in FIELDS:
            raise UserError(unknown_key(key))
        section, _, name = key.partition(".")
        table.setdefault(section, {})[name] = from_text(key, value)
    try:
        return Config.model_validate(table)
    except ValidationError as error:
        raise UserError(_value_message(error)) from None


def dump_config(config: Config) -> str:
    """`config` as TOML text; `load_config` makes an equal one of it. Unset keys are left out."""
    lines: list[str] = []
    for section, values in config.model_dump().items():
        lines += [f"[{section}]"]
        lines += [f"{key} = {_toml(value)}" for key, value in values.items() if value is not None]
        lines += [""]
    return "\n".join(lines)


def _toml(value: str | bool | int | float | tuple[Any, ...]) -> str:
    """JSON's spelling of a plain value is TOML's too, but for DEL, which TOML wants escaped."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _preset_path(preset: str | Path) -> Path:
    if isinstance(preset, str) and not preset.endswith(".toml") and "/" not in preset:
        if preset not in preset_names():
            raise UserError(
                f"unknown preset '{preset}': the nearest is '{nearest(preset, preset_names())}' "
                f"(presets: {', '.join(preset_names())}; or the path of a .toml file)"
            )
        return PRESETS_FOLDER / f"{preset}.toml"
    return Path(preset).expanduser()


def _read_table(path: Path) -> Table:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read config {path}: {error.strerror}; check the path") from None
    except UnicodeDecodeError:
        raise UserError(f"config {path} is not UTF-8 text; save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"config {path} is not valid TOML: {error}") from None
    for section, values in table.items():
        _check_section(path, section, values)
        for key in RETIRED & {f"{section}.{name}" for name in values}:
            log.info("%s: %s has no meaning any more", path, key)
            del values[key.partition(".")[2]]
    return table


def _check_section(path: Path, section: str, values: object) -> None:
    if section not in SECTIONS:
        raise UserError(
            f"{path}: unknown section '{section}': the nearest is '{nearest(section, SECTIONS)}'"
        )
    if not isinstance(values, dict):
        raise UserError(f"{path}: '{section}' is a section: write [{section}] above its keys")
    for name in values:
        if f"{section}.{name}" not in FIELDS.keys() | RETIRED:
            raise UserError(f"{path}: {unknown_key(f'{section}.{name}')}")


def unknown_key(key: str) -> str:
    """The error message for a dotted key that the schema does not have."""
    return f"unknown key '{key}': the nearest is '{nearest(key, FIELDS)}'"


def _value_message(error: ValidationError) -> str:
    """One line for the first fault: key, value, what is allowed."""
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"][:2])
    if first["type"] == "value_error":  # of several keys together
        return f"{key}: {first['ctx']['error']}"
    return f"{key} = {first['input']!r} is not allowed: {key} takes {allowed(key)}"
