"""A verdict says what the broker or the kernel knows, and a program's words are told from ours."""

from __future__ import annotations

import os
import platform
import re
import signal
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import redis

from .conftest import Daemon
from .tiers import TIERS, tiers

__all__ = ["tiers"]

PLATFORM = "import ctypes, os, signal, threading\nL = ctypes.CDLL(None)\nSEND = {n}\n"

ON_X86 = platform.machine() == "x86_64"
TKILL, TGKILL = (200, 234) if ON_X86 else (130, 131)

# How a program sends itself a signal.
ROUTES = {
    "kill": "os.kill(os.getpid(), SEND)",
    "raise": "signal.raise_signal(SEND)",
    "pthread_kill": "signal.pthread_kill(threading.get_ident(), SEND)",
    "raise_of_c": "L['raise'](SEND)",
    "kill_of_c": "L.kill(os.getpid(), SEND)",
    "tkill": f"L.syscall({TKILL}, threading.get_native_id(), SEND)",
    "tgkill": f"L.syscall({TGKILL}, os.getpid(), threading.get_native_id(), SEND)",
}
SIGNALS = ("SIGKILL", "SIGSEGV", "SIGBUS", "SIGALRM", "SIGTERM", "SIGXCPU", "SIGSYS", "SIGABRT",
           "SIGVTALRM", "SIGUSR1", "SIGILL", "SIGFPE")  # fmt: skip


def called(daemon: Daemon, program: str, tier: str, **options: Any) -> dict[str, Any]:
    reply = daemon.call(dedent(program), "", TIER=tier, **options)
    assert isinstance(reply, dict)
    return reply


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("name", SIGNALS)
def test_a_signal_to_itself_is_a_crash_by_it(tiers: Daemon, name: str, tier: str) -> None:
    number = int(getattr(signal, name))
    for route in ROUTES.values():
        program = PLATFORM.format(n=number) + f"def f():\n  {route}\n  return 'went on'"
        reply = called(tiers, program, tier)
        assert (reply["verdict"], reply["signal"]) == ("crash", number), (route, reply)
        assert reply["message"] == f"killed by {name}"
        assert (reply["syscall"], reply["results"][0]["value"]) == (None, None)


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGSYS", "SIGABRT"])
def test_replicas_in_a_jail_end_by_the_same_signal(tiers: Daemon, name: str) -> None:
    """Though the later one knows itself by another number than that of process 1."""
    number = int(getattr(signal, name))
    for route in ROUTES.values():
        program = PLATFORM.format(n=number) + f"def f():\n  {route}\n  return 'went on'"
        reply = called(tiers, program, "jail", REPLICAS=2)
        assert (reply["verdict"], reply["signal"]) == ("crash", number), (route, reply)
        assert reply["replicas"] == [["crash"], ["crash"]]


@pytest.mark.skipif(not ON_X86, reason="its numbers of calls")
@pytest.mark.parametrize("tier", TIERS)
def test_a_later_replica_is_denied_as_the_first(tiers: Daemon, tier: str) -> None:
    """Its handler, which answers some refused calls, answers no others."""
    for call in ("101, 0, 0", "57 | 1 << 30", "49, 0", "321"):  # ptrace, of x32, bind to no socket
        program = f"import ctypes\ndef f(): return ctypes.CDLL(None).syscall({call})"
        reply = called(tiers, program, tier, REPLICAS=2)
        if tier == "jail" and call.startswith("49"):
            assert reply["results"][0]["value"] == "-1"
        else:
            assert reply["verdict"] == "denied", reply


@pytest.mark.parametrize("tier", TIERS)
def test_a_timer_of_its_own_is_a_crash(tiers: Daemon, tier: str) -> None:
    program = "import signal\ndef f():\n  signal.setitimer({}, 0.01)\n  while True: pass"
    for timer, number in ((0, signal.SIGALRM), (1, signal.SIGVTALRM), (2, signal.SIGPROF)):
        reply = called(tiers, program.format(timer), tier)
        assert (reply["verdict"], reply["signal"]) == ("crash", number), reply


@pytest.mark.parametrize("tier", TIERS)
def test_a_real_fault_is_a_crash_by_its_signal(tiers: Daemon, tier: str) -> None:
    reply = called(tiers, "import ctypes\ndef f(): ctypes.string_at(0)", tier)
    assert (reply["verdict"], reply["signal"]) == ("crash", signal.SIGSEGV)
    reply = called(tiers, "import os\ndef f(): os.abort()", tier)
    assert (reply["verdict"], reply["signal"]) == ("crash", signal.SIGABRT)


@pytest.mark.parametrize("tier", TIERS)
def test_a_signal_that_python_ignores_is_ignored(tiers: Daemon, tier: str) -> None:
    for name in ("SIGPIPE", "SIGXFSZ"):
        program = f"import os, signal\ndef f(): os.kill(os.getpid(), signal.{name})"
        assert called(tiers, program, tier)["results"][0]["value"] == "None"


@pytest.mark.parametrize("tier", TIERS)
def test_the_cpu_limit_is_a_timeout_when_it_was_used(tiers: Daemon, tier: str) -> None:
    reply = called(tiers, "def f():\n  while True: pass", tier, CPU=150, TIMEOUT=30_000)
    assert (reply["verdict"], reply["message"]) == ("timeout", "CPU limit of 150 ms")


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("status", [0, 1, 2, 128 + 9, 137, 151, 152, 153, 159, 255])
def test_an_exit_status_is_only_that(tiers: Daemon, status: int, tier: str) -> None:
    for way in ("os._exit", "ctypes.CDLL(None)._exit", "ctypes.CDLL(None).exit"):
        for program in (f"def f(): {way}({status})", f"{way}({status})\ndef f(): pass"):
            reply = called(tiers, f"import ctypes, os\n{program}", tier)
            assert (reply["verdict"], reply["signal"], reply["syscall"]) == ("crash", None, None)
            assert reply["message"] == f"ended without a result, with exit status {status}"


BUILTIN_NAMES = ("MemoryError", "TimeoutError", "SystemExit", "KeyboardInterrupt", "OSError",
                 "PermissionError", "RecursionError", "SystemError", "BaseException")  # fmt: skip


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("name", BUILTIN_NAMES)
def test_what_is_raised_is_an_error(tiers: Daemon, name: str, tier: str) -> None:
    (result,) = called(tiers, f"def f(): raise {name}('m')", tier)["results"]
    assert (result["verdict"], result["type"], result["reason"]) == ("error", name, None)
    reply = called(tiers, f"raise {name}('m')\ndef f(): pass", tier)
    assert (reply["verdict"], reply["type"], reply["reason"]) == ("error", name, None)


REASONS = ("BadArgument", "NotPlainValue", "NoEntry", "timeout", "denied", "crash", "memory")


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("name", REASONS)
def test_a_class_of_the_program_is_no_reason_of_ours(tiers: Daemon, name: str, tier: str) -> None:
    program = f"class {name}(Exception): pass\ndef f(): raise {name}('x')"
    (result,) = called(tiers, program, tier)["results"]
    assert (result["verdict"], result["type"], result["reason"]) == ("error", name, None)


@pytest.mark.parametrize("tier", TIERS)
def test_our_reasons_are_no_types(tiers: Daemon, tier: str) -> None:
    def words(program: str, argument: str = "") -> tuple[Any, ...]:
        reply = tiers.call(program, argument, TIER=tier)
        said = reply["results"][0]
        assert reply["verdict"] == "ok" or reply["reason"] == said["reason"]
        return said["verdict"], said["type"], said["reason"]

    assert words("def f(x): return x", "what?") == ("error", None, "BadArgument")
    assert words("def f(): return object()") == ("error", None, "NotPlainValue")
    assert words("def g(): pass") == ("error", None, "NoEntry")
    assert words("f = 1") == ("error", None, "NoEntry")
    assert words("raise NameError(\"the program defines no 'f'\")")[1:] == ("NameError", None)


REFUSED_MEMORY = (
    "bytearray(1 << 45)", "'a' * 10 ** 13", "[0] * 10 ** 12", "list(range(10 ** 12))",
    "b'x' * (300 << 20)", "1 << 10 ** 12", "[bytes(1 << 20) for _ in range(10 ** 6)]",
    "'%0*d' % (10 ** 9, 1)",
)  # fmt: skip


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("expression", REFUSED_MEMORY)
def test_memory_that_was_refused_is_memory(tiers: Daemon, expression: str, tier: str) -> None:
    reply = called(tiers, f"def f(): return len({expression})", tier, MEMORY=200 << 20)
    (result,) = reply["results"]
    assert (result["verdict"], result["type"]) == ("memory", "MemoryError"), reply


@pytest.mark.parametrize("tier", TIERS)
def test_memory_of_one_case_says_nothing_of_the_next(tiers: Daemon, tier: str) -> None:
    program = "def f(x):\n  if x: bytearray(1 << 45)\n  raise MemoryError"
    reply = tiers.call(program, "0", "1", "0", TIER=tier)
    assert [result["verdict"] for result in reply["results"]] == ["error", "memory", "error"]


# The C library's functions overwritten by ones that return at once.
PATCHED = """
    import ctypes
    L = ctypes.CDLL(None)
    def f():
        refused = L.unshare
        for name in ("_exit", "exit", "_Exit", "getpid", "abort", "sigaction", "raise"):
            at = ctypes.cast(L[name], ctypes.c_void_p).value
            L.mprotect(ctypes.c_void_p(at & -4096), 8192, 7)
            (ctypes.c_char * 1).from_address(at)[0] = b"\\xc3"
        refused(0x10000000)
        return 1
"""


@pytest.mark.skipif(not ON_X86, reason="its machine code")
@pytest.mark.parametrize("tier", TIERS)
def test_a_patched_library_hides_no_refusal(tiers: Daemon, tier: str) -> None:
    reply = called(tiers, PATCHED, tier)
    assert (reply["verdict"], reply["syscall"]) == ("denied", "unshare"), reply
    assert reply["results"][0]["value"] is None


# By machine code: a refused call with a stack at which nothing is, and a handler of the fault that
# has a stack and jumps back.
NO_STACK = """
    import ctypes, mmap, struct
    L = ctypes.CDLL(None)
    page = mmap.mmap(-1, 1 << 16, prot=7)
    at = ctypes.addressof(ctypes.c_char.from_buffer(page))
    kept = bytes.fromhex("48b8") + struct.pack("Q", at + 8)  # where the stack is kept
    save = kept + bytes.fromhex("488920")
    refuse = bytes.fromhex("31e4" "b810010000" "bf00000010" "0f05")  # no stack; unshare
    restore = kept + bytes.fromhex("488b20" "b82a000000" "c3")
    page[64:64 + len(save + refuse + restore)] = save + refuse + restore
    page[256:256 + len(restore)] = restore  # of the fault: the same, as if the call had returned
    L.sigaltstack((ctypes.c_size_t * 3)(at + 8192, 0, 1 << 15), None)
    action = struct.pack("Q128sixxxxQ", at + 256, bytes(128), 0x08000000 | 0x40000000, 0)
    assert L.sigaction(11, action, None) == 0
    def f(): return ctypes.CFUNCTYPE(ctypes.c_int)(at + 64)()
"""


@pytest.mark.skipif(not ON_X86, reason="its machine code")
@pytest.mark.parametrize("tier", TIERS)
def test_a_refusal_without_a_stack_is_one(tiers: Daemon, tier: str) -> None:
    reply = called(tiers, NO_STACK, tier)
    assert (reply["verdict"], reply["syscall"]) == ("denied", "unshare"), reply
    kept = NO_STACK.replace("b810010000", "b827000000")  # getpid is allowed: it comes back
    assert called(tiers, kept, tier)["results"][0]["value"] == "42"


def pages_of_handlers(daemon: Daemon, tier: str) -> list[int]:
    """Where each zygote of a tier has the handler of refusals: a page to execute, of no file."""
    with daemon.connect() as client:
        zygotes = client.info("zygotes")
    pids = [v["pid"] for k, v in zygotes.items() if k != "zygotes" and v["tier"] == tier]
    one_page = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) r-xp 0+ 00:00 0 *$", re.MULTILINE)
    found = []
    for pid in pids:
        maps = one_page.findall(Path(f"/proc/{pid}/maps").read_text())
        found += [int(start, 16) for start, end in maps if int(end, 16) - int(start, 16) == 4096]
    return found


@pytest.mark.parametrize("tier", ["fork", "jail"])
def test_the_handler_of_refusals_is_sealed(tiers: Daemon, tier: str) -> None:
    """Whoever knows where it is can neither change it nor take it away (Linux 6.10)."""
    with tiers.connect() as client:
        sealed = "handler sealed" in client.info("security")["seccomp"]
    if not sealed or os.geteuid() != 0:
        pytest.skip("no seals in this kernel, or nobody to look where the handler is")
    pages = pages_of_handlers(tiers, tier)
    assert len(pages) == 2
    program = f"""
        import ctypes
        L = ctypes.CDLL(None)
        def f():
            seen = []
            for page in {pages}:
                at, half = ctypes.c_void_p(page), ctypes.c_size_t(4096)
                seen += [L.mprotect(at, half, 7), L.munmap(at, half)]
                L.mmap.restype = ctypes.c_ssize_t
                seen.append(L.mmap(at, half, 7, 0x32, -1, ctypes.c_size_t(0)))
            L.unshare(0x10000000)
            return seen
    """
    reply = called(tiers, program, tier)
    assert (reply["verdict"], reply["syscall"]) == ("denied", "unshare"), reply


def test_an_entry_with_a_nul_is_refused(tiers: Daemon) -> None:
    with pytest.raises(redis.ResponseError, match="entry function holds a NUL"):
        tiers.call("def f(): return 1", "", entry="f\0x")


@pytest.mark.parametrize("tier", TIERS)
def test_an_entry_is_its_whole_name(tiers: Daemon, tier: str) -> None:
    assert tiers.call("def é(): return 1", "", entry="é", TIER=tier)["verdict"] == "ok"
    for name in ("", "g", "f.x", "f ", "\udcff".encode("utf-8", "surrogateescape")):
        reply = tiers.call("def f(): return 1", "", entry=name, TIER=tier)
        assert (reply["verdict"], reply["reason"]) == ("error", "NoEntry"), name
