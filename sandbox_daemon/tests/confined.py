"""Runs a command with less than this process may do: confined.py WORD,... COMMAND [ARGUMENT]...

no-namespaces  as the default profile of container engines: no namespace, no mount, no clone3
no-landlock    as on a kernel without Landlock
no-seccomp     as where no further filter may be installed
no-userfaultfd as in containers, which forbid it
user           as another user (65533); needs root
mapped         as a user without capabilities, in a user namespace that holds this user only
mapped-root    the same as its root, with all capabilities in there, as in a rootless container
no-user-ns     the same, where no user namespaces can be made
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import subprocess
import sys
from pathlib import Path

OTHER_USER = 65533
NEW_USER_NAMESPACE = 0x10000000
NEW_ANYTHING = 0x7E020000  # the CLONE_NEW* flags

COLUMN = {"x86_64": 0, "aarch64": 1}[platform.machine()]
CLONE = (56, 220)[COLUMN]
REFUSED: dict[str, dict[int, int]] = {
    "no-namespaces": {
        (272, 97)[COLUMN]: errno.EPERM,  # unshare
        (308, 268)[COLUMN]: errno.EPERM,  # setns
        (165, 40)[COLUMN]: errno.EPERM,  # mount
        (155, 41)[COLUMN]: errno.EPERM,  # pivot_root
        428: errno.EPERM,  # open_tree
        429: errno.EPERM,  # move_mount
        435: errno.ENOSYS,  # clone3
    },
    "no-landlock": dict.fromkeys((444, 445, 446), errno.ENOSYS),
    "no-userfaultfd": {(323, 282)[COLUMN]: errno.EPERM},
    "no-seccomp": {(317, 277)[COLUMN]: errno.ENOSYS},
}

LOAD, JUMP_IF_EQUAL, JUMP_IF_ANY, RETURN = 0x20, 0x15, 0x45, 0x06
NUMBER, FIRST_ARGUMENT = 0, 16  # offsets in struct seccomp_data
ALLOW, REFUSE = 0x7FFF0000, 0x00050000

libc = ctypes.CDLL(None, use_errno=True)


def check(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def instruction(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return b"".join(
        number.to_bytes(size, sys.byteorder)
        for number, size in ((code, 2), (yes, 1), (no, 1), (value, 4))
    )


def filter_of(refused: dict[int, int], *, namespaces: bool) -> bytes:
    code = [instruction(LOAD, NUMBER)]
    for number, error in refused.items():
        code.append(instruction(JUMP_IF_EQUAL, number, 0, 1))
        code.append(instruction(RETURN, REFUSE | error))
    if not namespaces:
        code.append(instruction(JUMP_IF_EQUAL, CLONE, 0, 3))
        code.append(instruction(LOAD, FIRST_ARGUMENT))
        code.append(instruction(JUMP_IF_ANY, NEW_ANYTHING, 0, 1))
        code.append(instruction(RETURN, REFUSE | errno.EPERM))
    return b"".join([*code, instruction(RETURN, ALLOW)])


class Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


def refuse(words: set[str]) -> None:
    """Installs a filter that answers the system calls these words stand for with an errno."""
    refused = {n: e for word in words & REFUSED.keys() for n, e in REFUSED[word].items()}
    if refused:
        code = filter_of(refused, namespaces="no-namespaces" not in words)
        set_filter, no_new_privileges = 22, 38
        check(libc.prctl(no_new_privileges, 1, 0, 0, 0))
        program = Program(len(code) // 8, code)
        check(libc.prctl(set_filter, 2, ctypes.byref(program), 0, 0))


def enter_user_namespace(inner: int) -> None:
    """The exec that follows drops the capabilities of any user but 0."""
    user, group = os.geteuid(), os.getegid()
    check(libc.unshare(NEW_USER_NAMESPACE))
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{inner} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{inner} {group} 1")


def confine(words: set[str]) -> None:
    if words & {"mapped", "mapped-root", "no-user-ns"}:
        enter_user_namespace(0 if "mapped-root" in words else 1000)
    if "no-user-ns" in words:
        Path("/proc/sys/user/max_user_namespaces").write_text("0")
    if "user" in words:
        os.setgroups([])
        os.setgid(OTHER_USER)
        os.setuid(OTHER_USER)
    refuse(words)


def launcher(words: str) -> tuple[str, ...]:
    """What to put before a command."""
    return (sys.executable, __file__, words)


def possible(words: str) -> bool:
    """Whether this machine lets a process be confined so."""
    done = subprocess.run([*launcher(words), "/bin/true"], capture_output=True, check=False)
    return done.returncode == 0


if __name__ == "__main__":
    confine(set(sys.argv[1].split(",")))
    os.execv(sys.argv[2], sys.argv[2:])
