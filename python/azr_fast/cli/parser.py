"""An argument parser whose faults are one line each, and options made from the config's schema."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from typing import NoReturn

from azr_fast.config.keys import allowed, keys_of, to_text
from azr_fast.config.load import nearest
from azr_fast.config.schema import Config
from azr_fast.errors import UserError


class Parser(argparse.ArgumentParser):
    """Raises UserError where argparse would print its usage; options are never abbreviated."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, allow_abbrev=False, **kwargs)  # type: ignore[arg-type, misc]

    def error(self, message: str) -> NoReturn:
        """One line; how to type a value that looks like an option."""
        hint = "; a value that starts with - is typed --KEY=VALUE" if "expected" in message else ""
        raise UserError(f"{message}{hint} (see {self.prog} --help)")

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str], namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse all of `args`; UserError that names the nearest option for an unknown one."""
        space, unknown = super().parse_known_args(args, namespace)
        if unknown:
            raise UserError(self._unknown_message(unknown[0].partition("=")[0]))
        return space, []

    def _unknown_message(self, word: str) -> str:
        options = [option for option in self._option_string_actions if option.startswith("--")]
        if not word.startswith("-"):
            return f"unexpected argument '{word}' (see {self.prog} --help)"
        return f"unknown option '{word}': the nearest is '{nearest(word, options)}'"


def add_config_options(
    parser: argparse.ArgumentParser, defaults: Config, sections: Iterable[str] = ()
) -> None:
    """One option per key of these sections, of all where none is named; the defaults shown are
    those of `defaults`."""
    keys = keys_of(type(defaults))
    for section in sections or keys.sections:
        group = parser.add_argument_group(section, keys.sections[section].__doc__)
        values = getattr(defaults, section)
        for key, field in keys.fields.items():
            if key.startswith(f"{section}."):
                default = to_text(getattr(values, key.removeprefix(f"{section}."))) or "empty"
                text = f"{field.description} ({allowed(field)}; default: {default})"
                group.add_argument(
                    f"--{key}",
                    dest=key,
                    default=argparse.SUPPRESS,
                    metavar="VALUE",
                    help=text.replace("%", "%%"),
                )


def overrides(space: argparse.Namespace) -> dict[str, str]:
    """The config keys given on the command line, as typed."""
    return {key: value for key, value in vars(space).items() if "." in key}
