"""What the schema says about each dotted key, in words: for help texts and error messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from azr_fast.config.schema import Config, Section


@dataclass(frozen=True, slots=True)
class Keys:
    """The sections of a config and its keys, "section.name"."""

    sections: Mapping[str, type[Section]]
    fields: Mapping[str, FieldInfo]


@cache
def keys_of(config: type[Config]) -> Keys:
    """The keys of a class of configs."""
    sections = {name: type(field.default) for name, field in config.model_fields.items()}
    fields = {
        f"{section}.{name}": field
        for section, model in sections.items()
        for name, field in model.model_fields.items()
    }
    return Keys(sections, fields)


_NOUNS: Mapping[object, str] = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
}
# The names that pydantic's constraints give their bounds.
_BOUNDS = (("gt", ">"), ("ge", ">="), ("lt", "<"), ("le", "<="))


def allowed(field: FieldInfo) -> str:
    """What a key takes: "a number > 0 and <= 1", "one of auto, cpu, cuda", …"""
    return _words(field.annotation, tuple(field.metadata))


def from_text(field: FieldInfo, value: object) -> object:
    """`value` as the schema reads it: text "none" for an unset key, "a,b" for a list."""
    value = unset_or(field, value)
    if isinstance(value, str) and get_origin(field.annotation) is tuple:
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def unset_or(field: FieldInfo, value: object) -> object:
    """None for the text "none" of a key that may be unset, else `value`: TOML has no null."""
    is_none = isinstance(value, str) and value.lower() == "none"
    return None if is_none and NoneType in get_args(field.annotation) else value


def to_text(value: object) -> str:
    """A value as it is typed on the command line: the inverse of `from_text`."""
    if isinstance(value, tuple):
        return ",".join(to_text(part) for part in value)
    return str(value).lower() if isinstance(value, bool | None) else str(value)


def _words(annotation: object, metadata: tuple[Any, ...]) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _words(arguments[0], (*_constraints(arguments[1:]), *metadata))
    if origin is Literal:
        return "one of " + ", ".join(map(str, arguments))
    if origin in (Union, UnionType):
        return " or ".join("none" if a is NoneType else _words(a, metadata) for a in arguments)
    if origin is tuple:
        count = "" if Ellipsis in arguments else f" of {len(arguments)}"
        return f"a list{count}, each {_words(arguments[0], metadata)}"
    bounds = [
        f"{sign} {getattr(item, name):g}"
        for name, sign in _BOUNDS
        for item in metadata
        if hasattr(item, name)
    ]
    return " ".join([_NOUNS[annotation], " and ".join(bounds)]).strip()


def _constraints(metadata: tuple[Any, ...]) -> tuple[Any, ...]:
    """The bounds in `metadata`, unwrapped from pydantic's Field(...)."""
    return tuple(
        inner
        for item in metadata
        for inner in (item.metadata if isinstance(item, FieldInfo) else (item,))
    )
