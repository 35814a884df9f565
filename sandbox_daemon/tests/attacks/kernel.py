"""System calls that a program has no use for, made by number as machine code would."""

from __future__ import annotations

import platform

from .attack import Attack, any_of, denied, ok

CALLER = """
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *words):
    ctypes.set_errno(0)
    libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, words))
    return errno.errorcode.get(ctypes.get_errno())
"""

# name: (number on x86_64, on aarch64). From 424 on they are the same everywhere.
NUMBERS: dict[str, tuple[int, int]] = {
    # namespaces and mounts
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "mount_setattr": (442, 442),
    # ways around the filter
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_setup": (206, 0),
    "seccomp": (317, 277),
    "execveat": (322, 281),
    "memfd_secret": (447, 447),
    # the kernel itself
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "reboot": (169, 142),
    "syslog": (103, 116),
    "landlock_create_ruleset": (444, 444),
    # keys
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    # other processes
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "move_pages": (279, 239),
    # what all share
    "sethostname": (170, 161),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "adjtimex": (159, 171),
    "swapon": (167, 224),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    # files in other ways
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262),
    "inotify_init1": (294, 26),
    "splice": (275, 76),
    "vmsplice": (278, 75),
}
ON_X86 = platform.machine() == "x86_64"

ATTACKS: dict[str, Attack] = {
    name: denied(f"{CALLER}\ndef f(): return call({numbers[0 if ON_X86 else 1]})", name)
    for name, numbers in NUMBERS.items()
}


def on_the_host(name: str, words: str) -> Attack:
    """The same with arguments that would do it, were the call let through."""
    number = NUMBERS[name][0 if ON_X86 else 1]
    return denied(f"{CALLER}\ndef f(): return call({number}, {words})", name)


# name: the call with arguments that would change the host.
ATTACKS |= {
    "new_user_namespace": on_the_host("unshare", "0x10000000"),
    "new_mount_namespace": on_the_host("unshare", "0x00020000"),
    "attach_to_a_process": on_the_host("ptrace", "16, @VICTIM@, 0, 0"),
    "trace_itself": on_the_host("ptrace", "0, 0, 0, 0"),
    "shared_memory_segment": on_the_host("shmget", "0x617a7261, 4096, 0o1666"),
    "semaphores": on_the_host("semget", "0x617a7261, 1, 0o1666"),
    "message_queue": on_the_host("msgget", "0x617a7261, 0o1666"),
    "rename_the_host": denied(
        "import socket\ndef f(): socket.sethostname('@MARK@')", "sethostname"
    ),
    "set_the_clock": denied("import time\ndef f(): time.clock_settime(0, 0)", "clock_settime"),
    "write_memory_of_another": denied(
        f"""{CALLER}
def f():
    text = ctypes.create_string_buffer(b'x' * 64)
    piece = (ctypes.c_size_t * 2)(ctypes.addressof(text), 64)
    at = ctypes.addressof(piece)
    return call({NUMBERS["process_vm_writev"][0 if ON_X86 else 1]}, @VICTIM@, at, 1, at, 1, 0)
""",
        "process_vm_writev",
    ),
    "mount_over_canary": denied(
        """
        import ctypes
        def f(): ctypes.CDLL(None).mount(b'@MARK@', b'@CANARY@', b'tmpfs', 0, None)
        """,
        "mount",
    ),
    "namespace_by_clone": ok(
        f"{CALLER}\ndef f(): return call({56 if ON_X86 else 220}, 0x10000000 | 17, 0, 0, 0, 0)",
        "'EPERM'",
    ),
    "clone3_is_absent": ok(f"{CALLER}\ndef f(): return call(435, 0, 88)", "'ENOSYS'"),
    "personality": ok(
        f"{CALLER}\ndef f(): return call({135 if ON_X86 else 92}, 0x0040000)", "'EPERM'"
    ),
    "filter_by_prctl": ok(
        f"{CALLER}\ndef f(): return call({157 if ON_X86 else 167}, 22, 2, 0, 0, 0)", "'EPERM'"
    ),
    "regain_capabilities": denied(
        """
        import ctypes
        def f():
            header = (ctypes.c_uint32 * 2)(0x20080522, 0)
            ctypes.CDLL(None).capset(header, (ctypes.c_uint32 * 6)(*[0xffffffff] * 6))
        """,
        "capset",
    ),
    "hold_no_capability": ok(
        """
        import ctypes
        def f():
            header, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
            return ctypes.CDLL(None).capget(header, sets), list(sets)
        """,
        "(0, [0, 0, 0, 0, 0, 0])",
    ),
    "number_without_a_call": denied(f"{CALLER}\ndef f(): return call(9999)", "unknown"),
    "negative_number": denied(f"{CALLER}\ndef f(): return call(-2)", "unknown"),
    "own_handler_of_refusals": ok(
        "import signal\ndef f():\n  try: signal.signal(signal.SIGSYS, signal.SIG_IGN)\n"
        "  except OSError as e: return type(e).__name__",
        "'PermissionError'",
    ),
    "handler_by_a_wide_number": ok(
        f"""{CALLER}
def f():
    new = (ctypes.c_size_t * 4)(1, 0, 0, 0)
    return call({13 if ON_X86 else 134}, 31 | 1 << 32, ctypes.addressof(new), 0, 8)
""",
        "'EPERM'",
    ),
    "refusal_with_signals_blocked": denied(
        """
        import ctypes, signal
        def f():
            signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))
            ctypes.CDLL(None).unshare(0x10000000)
        """,
        None,
    ),
    "refusal_on_a_broken_stack": any_of(
        """
        import ctypes, signal
        libc = ctypes.CDLL(None)
        def f():
            libc.sigaltstack((ctypes.c_size_t * 3)(4096, 0, 1 << 16), None)
            libc.unshare(0x10000000)
        """,
        "denied",
        "crash",
    ),
}

# Machine code in a page of its own: mov eax, NUMBER; then the instruction; ret.
MACHINE_CODE = """
import ctypes, mmap
page = mmap.mmap(-1, 4096, prot=7)
page.write(b'\\x53\\xb8' + ({number}).to_bytes(4, 'little') + {instruction} + b'\\x5b\\xc3')
def f(): return ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
"""


def machine_code(number: int, instruction: str) -> str:
    return MACHINE_CODE.format(number=number, instruction=instruction)


X86: dict[str, Attack] = {
    # The filter kills what comes by the 32-bit gate; some kernels have no such gate.
    "getpid_of_32_bits": any_of(machine_code(20, "b'\\xcd\\x80'"), "denied", "crash"),
    "fork_of_32_bits": any_of(machine_code(2, "b'\\xcd\\x80'"), "denied", "crash"),
    "socket_of_32_bits": any_of(machine_code(359, "b'\\xcd\\x80'"), "denied", "crash"),
    "getpid_of_x32": denied(f"{CALLER}\ndef f(): return call(0x40000000 | 39)", "unknown"),
    "execve_of_x32": denied(f"{CALLER}\ndef f(): return call(0x40000000 | 520)", "unknown"),
    "ptrace_of_x32": denied(f"{CALLER}\ndef f(): return call(0x40000000 | 521)", "unknown"),
    "fork_by_machine_code": denied(machine_code(57, "b'\\x0f\\x05'"), "fork"),
    "vfork_by_machine_code": denied(machine_code(58, "b'\\x0f\\x05'"), "vfork"),
    "system_wide_vsyscall": any_of(
        "import ctypes\ndef f(): return ctypes.CFUNCTYPE(ctypes.c_long)(0xffffffffff600400)() > 0",
        "ok",
        "crash",
    ),
    "ports": denied(f"{CALLER}\ndef f(): return call(173, 0, 1, 1)", "ioperm"),
    "port_level": denied(f"{CALLER}\ndef f(): return call(172, 3)", "iopl"),
    "segments": denied(f"{CALLER}\ndef f(): return call(154, 1, 0, 0)", "modify_ldt"),
}
if ON_X86:
    ATTACKS |= X86
