"""A canary for each layer: what is so if the layer holds, and is not where it is off.

Each is asked of the strongest daemon that this machine allows and of the weakest, and must agree
with what `INFO security` says of the layer; it has failed at least once where both differ.
"""

from __future__ import annotations

import ast
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import Daemon, children_of, eventually, executable, status_of


def seen(daemon: Daemon, expression: str, modules: str = "os", **options: int) -> Any:
    """What a program finds out."""
    program = f"import {modules}\ndef f(): return {expression}"
    (result,) = daemon.call(program, "", **options)["results"]
    assert result["verdict"] == "ok", result
    return ast.literal_eval(result["value"])


def raises(daemon: Daemon, expression: str) -> str | None:
    """The type of the error that it gives a program."""
    (result,) = daemon.call(f"import os\ndef f(): {expression}", "")["results"]
    return None if result["type"] is None else str(result["type"])


def zygote_has_own(kind: str) -> Callable[[Daemon], bool]:
    def canary(daemon: Daemon) -> bool:
        own = os.readlink(f"/proc/self/ns/{kind}")
        return all(os.readlink(f"/proc/{pid}/ns/{kind}") != own for pid in daemon.zygote_pids())

    return canary


def is_init_there(daemon: Daemon) -> bool:
    return bool(seen(daemon, "os.getppid()") == 1)


def has_its_own_name(daemon: Daemon) -> bool:
    return bool(seen(daemon, "os.uname().nodename") == "sandbox")


OUTSIDE = "('/etc/passwd', '/proc', '/sys', '/tmp', '/bin', '/var')"


def mount_options(pid: int) -> list[set[str]]:
    lines = Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
    return [set(line.split()[5].split(",")) for line in lines]


def has_a_small_sealed_root(daemon: Daemon) -> bool:
    """Landlock forbids to open, not to look whether there is something."""
    outside = seen(daemon, f"[p for p in {OUTSIDE} if os.path.exists(p)]")
    mounts = [one for pid in daemon.zygote_pids() for one in mount_options(pid)]
    return outside == [] and all({"ro", "nosuid"} <= options for options in mounts)


def is_another_user(daemon: Daemon) -> bool:
    own = str(os.geteuid())
    return all(own not in status_of(pid)["Uid"].split() for pid in daemon.zygote_pids())


def has_no_capability(daemon: Daemon) -> bool:
    names = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
    held = {status_of(pid)[name] for pid in daemon.zygote_pids() for name in names}
    return held == {"0" * 16}


def gains_no_privilege(daemon: Daemon) -> bool:
    return all(status_of(pid)["NoNewPrivs"] == "1" for pid in daemon.zygote_pids())


def may_not_open_what_is_there(daemon: Daemon) -> bool:
    """The root itself is there wherever mounts and modes would allow to list it."""
    return raises(daemon, "os.listdir('/')") == "PermissionError"


def ends_by_a_forbidden_call(daemon: Daemon) -> bool:
    reply = daemon.call("import os\ndef f(): os.chroot('/')", "")
    return bool((reply["verdict"], reply["syscall"]) == ("denied", "chroot"))


LIMITS = "{n: resource.getrlimit(getattr(resource, 'RLIMIT_' + n)) for n in %s}"


def is_limited(daemon: Daemon) -> bool:
    fixed = {"FSIZE": 0, "NOFILE": 64, "NPROC": 0, "CORE": 0, "MEMLOCK": 0, "MSGQUEUE": 0}
    names = [*(fixed.keys() - {"MSGQUEUE"}), "AS", "CPU"]  # Python has no name for that one
    limits = seen(daemon, LIMITS % names, "resource", CPU=30_000, MEMORY=1 << 30)
    queues = seen(daemon, "resource.getrlimit(12)", "resource")
    most_memory, most_time = limits.pop("AS")[1], limits.pop("CPU")[1]
    return (
        limits | {"MSGQUEUE": queues} == {name: (most, most) for name, most in fixed.items()}
        and 0 < most_memory < 4 << 30
        and 0 < most_time < 60
    )


def is_first_for_the_oom_killer(daemon: Daemon) -> bool:
    paths = [Path(f"/proc/{pid}/oom_score_adj") for pid in daemon.zygote_pids()]
    return {path.read_text().strip() for path in paths} == {"1000"}


CANARIES: dict[str, Callable[[Daemon], bool]] = {
    "pid_ns": is_init_there,
    "uts_ns": has_its_own_name,
    "root": has_a_small_sealed_root,
    "capabilities": has_no_capability,
    "no_new_privs": gains_no_privilege,
    "landlock": may_not_open_what_is_there,
    "seccomp": ends_by_a_forbidden_call,
    "rlimits": is_limited,
    "oom_score": is_first_for_the_oom_killer,
}
AS_ROOT: dict[str, Callable[[Daemon], bool]] = {  # nobody else may look into a zygote so far
    "user_ns": zygote_has_own("user"),
    "mount_ns": zygote_has_own("mnt"),
    "net_ns": zygote_has_own("net"),
    "ipc_ns": zygote_has_own("ipc"),
    "user": is_another_user,
}
if os.geteuid() == 0:
    CANARIES |= AS_ROOT


def reported(daemon: Daemon) -> dict[str, bool]:
    with daemon.connect() as client:
        lines = client.info("security")
    return {name: str(state).startswith("on") for name, state in lines.items() if name in CANARIES}


@pytest.mark.parametrize("layer", CANARIES)
def test_the_canary_agrees_with_the_report(daemon: Daemon, weakest: Daemon, layer: str) -> None:
    for one in (daemon, weakest):
        assert CANARIES[layer](one) == reported(one)[layer]


def test_every_layer_has_a_canary() -> None:
    done = subprocess.run([executable(), "--check"], capture_output=True, text=True, check=False)
    layers = {line.split()[0] for line in done.stdout.splitlines()} - {"level", "cgroup", "rewind"}
    assert layers == CANARIES.keys() | AS_ROOT.keys()


def test_a_child_is_filtered_before_it_runs(daemon: Daemon) -> None:
    """What the kernel says of a program at work: a filter, no privilege to gain, nothing held."""
    with daemon.connect() as client:
        connection = client.connection_pool.get_connection()
        connection.send_command("CALL", "import time\ndef f(): time.sleep(60)", "f", 1, "")
        zygotes = daemon.zygote_pids()
        assert eventually(lambda: any(map(children_of, zygotes)))
        (child,) = [pid for zygote in zygotes for pid in children_of(zygote)]
        assert eventually(lambda: status_of(child)["Seccomp"] == "2")
        assert status_of(child)["NoNewPrivs"] == "1"
        assert status_of(child)["CapBnd"] == "0" * 16
        os.kill(child, signal.SIGKILL)
        assert connection.read_response()["signal"] == signal.SIGKILL
