"""Hostile programs by family, a file each: name of the program to the program and its right end."""

from __future__ import annotations

from . import (
    compiling,
    crashes,
    disguises,
    files,
    forging,
    kernel,
    memory,
    network,
    output,
    persistence,
    process,
    raising,
    sharing,
    time,
    verdicts,
)
from .attack import PLACES, Attack

FAMILIES: dict[str, dict[str, Attack]] = {
    "process": process.ATTACKS,
    "time": time.ATTACKS,
    "memory": memory.ATTACKS,
    "compiling": compiling.ATTACKS,
    "output": output.ATTACKS,
    "files": files.ATTACKS,
    "network": network.ATTACKS,
    "kernel": kernel.ATTACKS,
    "crashes": crashes.ATTACKS,
    "persistence": persistence.ATTACKS,
    "raising": raising.ATTACKS,
    "forging": forging.ATTACKS,
    "disguises": disguises.ATTACKS,
    "sharing": sharing.ATTACKS,
    "verdicts": verdicts.ATTACKS,
}
ATTACKS: dict[str, Attack] = {
    f"{family}/{name}": attack
    for family, attacks in FAMILIES.items()
    for name, attack in attacks.items()
}

__all__ = ["ATTACKS", "FAMILIES", "PLACES", "Attack"]
