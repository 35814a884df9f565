"""From a preset or a TOML file, and overrides, to a checked `Config`; and back to TOML text."""

from __future__ import annotations

import difflib
import json
import logging
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from azr_fast.config.games import DEFAULT, NO_GAME, find_game, game_names
from azr_fast.config.keys import Keys, allowed, from_text, keys_of, unset_or
from azr_fast.config.schema import Config
from azr_fast.errors import UserError
from azr_fast.hardware import gpu_memory_gb, gpu_usable

log = logging.getLogger(__name__)

# Keys that earlier versions wrote into runs, which are resumed without them.
RETIRED = {"parity.max_mean", "parity.max_any", "seeding.seconds", "sandbox.threads"}

DEFAULTS = "defaults"  # what a config extends that takes nothing from a preset

# GB, as GPUs are sold; what the driver reports is up to 5% less or more.
LARGE_GPU = 80
LABEL = 1.06

Table = dict[str, dict[str, Any]]


def preset_names() -> list[str]:
    """The presets of every game that is installed."""
    return sorted(_presets())


def _presets() -> dict[str, Path]:
    """The files of all presets, by name."""
    found: dict[str, Path] = {}
    for name in sorted(game_names(), key=lambda name: (name != DEFAULT, name)):
        try:
            presets = find_game(name).presets
        except UserError as error:  # a game that is broken stops no other
            log.warning("%s", error)
            continue
        for path in sorted(presets.glob("*.toml")):
            if found.setdefault(path.stem, path) != path:
                log.warning("%s is not used: there is a preset of that name already", path)
    return found


def nearest(word: str, choices: Iterable[str]) -> str:
    """The choice spelled most like `word`. Dotted words are compared part by part from the end."""

    def likeness(choice: str) -> float:
        pairs = zip(reversed(word.split(".")), reversed(choice.split(".")), strict=False)
        return sum(difflib.SequenceMatcher(None, *pair).ratio() for pair in pairs)

    return max(choices, key=likeness)


def default_preset() -> str:
    """`gpu` where a GPU can be used, else `cpu`."""
    return "gpu" if gpu_usable() else "cpu"


def load_config(preset: str | Path, overrides: Mapping[str, Any] | None = None) -> Config:
    """The preset named, or the TOML file at a path, with `overrides` (dotted key to value or text).

    A file may say `extends = "cpu"`, the name of a preset or the path of another file, beside its
    own: it is laid over that. A file of a user that does not is laid over the preset for this
    machine, which is logged; a preset, and what says `extends = "defaults"`, over the defaults of
    the schema, which are those of the paper. Where `game.name` is overridden, keys of the other
    game have no meaning and are left out. UserError on an unknown preset, section or key, on a
    value that is not allowed, on a file that extends itself and on TOML that does not parse.
    """
    path, typed = _preset_path(preset), overrides or {}
    table = _layered(path, ())
    config = _config_class(table, typed.get("game.name"))
    keys = keys_of(config)
    for key, value in typed.items():
        if key not in keys.fields:
            raise UserError(unknown_key(key, keys))
        section, _, name = key.partition(".")
        table.setdefault(section, {})[name] = from_text(keys.fields[key], value)
    try:
        return config.model_validate(table)
    except ValidationError as error:
        raise UserError(_value_message(error.errors(include_url=False)[0], keys)) from None


def _layered(path: Path, over: tuple[Path, ...]) -> Table:
    """The table of a file laid over that of its base. `over` are the files that lie over it."""
    if path in over:
        raise UserError(f"config {over[-1]} extends {path.name}, which extends it: name another")
    table: dict[str, Any] = _read_table(path)
    base = _base(path, table.pop("extends", None))
    below = _layered(base, (*over, path)) if base else {}
    game = table.get("game")
    config = _config_class(below, game.get("name") if isinstance(game, dict) else None)
    _check_table(path, table, keys_of(config))
    _check_types(table, config)
    return {
        section: below.get(section, {}) | table.get(section, {})
        for section in below.keys() | table.keys()
    }


def _base(path: Path, named: object) -> Path | None:
    """The file that the one at `path` is laid over; None: the defaults of the schema."""
    if named is None and _is_whole(path):
        return None
    if named is None:
        log.info(
            '%s names no base: what it leaves out is as in preset %s (write extends = "%s", '
            'or "%s" for those of the paper)',
            *(path, default_preset(), default_preset(), DEFAULTS),
        )
        return _preset_path(default_preset())
    if not isinstance(named, str):
        raise UserError(
            f"{path}: extends = {named!r} is not allowed: it takes the name of a preset, the path "
            f'of a .toml file, or "{DEFAULTS}"'
        )
    if named == DEFAULTS:
        return None
    found = _preset_path(named)
    return found if named in preset_names() else _beside(path, found)


def _beside(path: Path, other: Path) -> Path:
    """`other`, which the file at `path` names, as a path from there."""
    return other if other.is_absolute() else Path(os.path.normpath(path.parent / other))


def _is_whole(path: Path) -> bool:
    """A preset, or what versions before `extends` stored of a run, beside its run.json."""
    return path in _presets().values() or path.with_name("run.json").exists()


def _config_class(table: Table, typed: str | None) -> type[Config]:
    """The class of the game that is typed, or else the table's. Where they differ, the rules of the
    table's game are taken out of it."""
    rules = table.get("game")
    named = str(rules.get("name") or DEFAULT) if isinstance(rules, dict) else DEFAULT
    if typed and typed != named:
        for section in {"game"} | find_game(named).config.model_fields.keys() - Config.model_fields:
            table.pop(section, None)
    return find_game(typed or named).config


def _check_types(table: Table, config: type[Config]) -> None:
    """Raise UserError for a value of another type than its key has, such as true for a number.

    What is typed as text on the command line is read as such; a file has types of its own. What
    several keys must be together is checked when all layers are there.
    """
    try:
        config.model_validate_json(json.dumps(table, default=str), strict=True)
    except ValidationError as error:
        for fault in error.errors(include_url=False):
            if fault["type"] != "value_error":
                raise UserError(_value_message(fault, keys_of(config))) from None


def dump_config(config: Config) -> str:
    """`config` as TOML text; `load_config` makes an equal one of it. Unset keys are left out."""
    lines = [f'extends = "{DEFAULTS}"', ""]
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
        names = preset_names()
        if not names:
            raise UserError(f"there is no preset {preset!r}, and no other: {NO_GAME}")
        if preset not in names:
            raise UserError(
                f"unknown preset '{preset}': the nearest is '{nearest(preset, names)}' "
                f"(presets: {', '.join(names)}; or the path of a .toml file)"
            )
        return _presets()[fitting(preset, gpu_memory_gb()) if preset == "gpu" else preset]
    return Path(preset).expanduser()


def fitting(preset: str, memory_gb: float | None) -> str:
    """The preset for a GPU of so much memory: `gpu` is for 80 GB and more, `gpu-24` for 24.

    UserError when the smallest does not fit. Where the memory is not known it is taken to suffice.
    """
    smaller = {
        int(name.rpartition("-")[2]): name for name in _presets() if re.fullmatch(r"gpu-\d+", name)
    }
    if memory_gb is None or not smaller or memory_gb * LABEL >= LARGE_GPU:
        return preset
    fits = [size for size in smaller if size <= memory_gb * LABEL]
    if not fits:
        raise UserError(
            f"preset {preset} wants a GPU of {min(smaller)} GB or more, and this one has "
            f"{memory_gb:.0f}: use --preset cpu, or {smaller[min(smaller)]} with a smaller model"
        )
    return smaller[max(fits)]


def _read_table(path: Path) -> Table:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read config {path}: {error.strerror}; check the path") from None
    except UnicodeDecodeError:
        raise UserError(f"config {path} is not UTF-8 text; save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"config {path} is not valid TOML: {error}") from None
    return table


def _check_table(path: Path, table: Table, keys: Keys) -> None:
    """Raise UserError for a section or key that is not there; drop those that are retired."""
    for section, values in table.items():
        _check_section(path, section, values, keys)
        for key in RETIRED & {f"{section}.{name}" for name in values}:
            log.info("%s: %s has no meaning any more", path, key)
            del values[key.partition(".")[2]]
        for name, value in values.items():
            values[name] = unset_or(keys.fields[f"{section}.{name}"], value)


def _check_section(path: Path, section: str, values: object, keys: Keys) -> None:
    if section not in keys.sections:
        near = nearest(section, [*keys.sections, "extends"])
        raise UserError(f"{path}: unknown section '{section}': the nearest is '{near}'")
    if not isinstance(values, dict):
        raise UserError(f"{path}: '{section}' is a section: write [{section}] above its keys")
    for name in values:
        if f"{section}.{name}" not in keys.fields.keys() | RETIRED:
            raise UserError(f"{path}: {unknown_key(f'{section}.{name}', keys)}")


def unknown_key(key: str, keys: Keys) -> str:
    """The error message for a dotted key that the schema does not have."""
    return f"unknown key '{key}': the nearest is '{nearest(key, keys.fields)}'"


def _value_message(first: ErrorDetails, keys: Keys) -> str:
    """One line for a fault: key, value, what is allowed."""
    key = ".".join(str(part) for part in first["loc"][:2])
    if first["type"] == "value_error":  # of several keys together
        return f"{key}: {first['ctx']['error']}".removeprefix(": ")  # of several sections: no key
    return f"{key} = {first['input']!r} is not allowed: {key} takes {allowed(keys.fields[key])}"
