"""Making processes and threads, and reaching those of others."""

from __future__ import annotations

from textwrap import dedent

from .attack import NO_FILE, Attack, any_of, crash, denied, error, ok, timeout

NO_ROOM = "BlockingIOError"  # EAGAIN, as where the limit on processes is reached


def nobody(program: str) -> Attack:
    """Reaching for a process of the host, whose number is nobody's in an own pid namespace."""
    by_chance_its_own = "import os\nif os.getpid() == @VICTIM@: raise ProcessLookupError\n"
    return any_of(
        by_chance_its_own + dedent(program), "error", "denied", types=("ProcessLookupError", None)
    )


ATTACKS: dict[str, Attack] = {
    "fork": error("import os\ndef f(): os.fork()", NO_ROOM),
    "fork_while_loading": error("import os\nos.fork()\ndef f(): return 1", NO_ROOM),
    # No more than 1000, and they end at once: a sandbox that fails must not take the machine along.
    "fork_bomb": ok(
        """
        import os
        def f():
            refused = 0
            for _ in range(1000):
                try:
                    if os.fork() == 0: os._exit(0)
                except OSError: refused += 1
            return refused
        """,
        "1000",
    ),
    "double_fork_and_setsid": error(
        """
        import os
        def f():
            if os.fork(): return
            os.setsid()
            if os.fork(): os._exit(0)
        """,
        NO_ROOM,
    ),
    "forkpty": error("import os\ndef f(): os.forkpty()", *NO_FILE),
    "subprocess": denied("import subprocess\ndef f(): subprocess.run(['true'])", None),
    "shell": ok("import os\ndef f(): return os.system('touch @CANARY@/new') >> 8", "127"),
    "posix_spawn": error(
        "import os\ndef f(): os.posix_spawn('/bin/sh', ['sh'], {})", "PermissionError"
    ),
    "process_pool": error(
        """
        import multiprocessing
        def f(): multiprocessing.Pool(2)
        """,
        "PermissionError",
        "FileNotFoundError",
        "OSError",
        "ImportError",
    ),
    "fork_of_the_c_library": ok(
        """
        import ctypes, errno
        libc = ctypes.CDLL(None, use_errno=True)
        def f(): return libc.fork(), errno.errorcode[ctypes.get_errno()]
        """,
        "(-1, 'EAGAIN')",
    ),
    "process_that_shares_memory": ok(
        """
        import ctypes, errno, platform
        libc = ctypes.CDLL(None, use_errno=True)
        def f():
            clone = {'x86_64': 56, 'aarch64': 220}[platform.machine()]
            return libc.syscall(clone, 0x100 | 17, 0, 0, 0, 0), errno.errorcode[ctypes.get_errno()]
        """,
        "(-1, 'EPERM')",
    ),
    "execve": denied("import os\ndef f(): os.execv('/bin/sh', ['sh'])", "execve"),
    "execve_itself": denied("import os, sys\ndef f(): os.execv(sys.executable, ['x'])", "execve"),
    "exec_by_descriptor": denied(
        """
        import os
        def f(): os.execve(os.open(os.__file__, os.O_RDONLY), ['x'], {})
        """,
        "execve",
        "execveat",
    ),
    "thread": error(
        "import threading\ndef f(): threading.Thread(target=print).start()", "RuntimeError"
    ),
    "thread_bomb": ok(
        """
        import _thread
        def f():
            refused = 0
            for _ in range(1000):
                try: _thread.start_new_thread(print, ())
                except RuntimeError: refused += 1
            return refused
        """,
        "1000",
    ),
    "thread_pool": error(
        """
        from concurrent.futures import ThreadPoolExecutor
        def f():
            with ThreadPoolExecutor(4) as pool: return list(pool.map(str, range(9)))
        """,
        "RuntimeError",
    ),
    "kill_everything": denied("import os\ndef f(): os.kill(-1, 9)", "kill"),
    "kill_group": denied("import os\ndef f(): os.kill(0, 9)", "kill"),
    "kill_own_group_by_name": denied("import os\ndef f(): os.killpg(os.getpgrp(), 9)", "kill"),
    "kill_parent": denied("import os\ndef f(): os.kill(os.getppid(), 9)", "kill"),
    "kill_init": denied("import os\ndef f(): os.kill(1, 9)", "kill"),
    "kill_a_process_of_the_host": nobody("import os\ndef f(): os.kill(@VICTIM@, 9)"),
    "ask_whether_a_process_is_there": nobody("import os\ndef f(): os.kill(@VICTIM@, 0)"),
    "pidfd_of_the_host": nobody("import os\ndef f(): os.pidfd_open(@VICTIM@)"),
    "kill_init_by_pidfd": denied(
        "import os, signal\ndef f(): signal.pidfd_send_signal(os.pidfd_open(1), 9)",
        "pidfd_open",
        "pidfd_send_signal",
    ),
    "kill_init_by_another_number": denied(
        """
        import ctypes
        libc = ctypes.CDLL(None)
        def f(): libc.kill(ctypes.c_long(1 << 32 | 1), 9)
        """,
        "kill",
    ),
    "kill_everything_by_number": denied(
        """
        import ctypes, platform
        def f():
            kill = {'x86_64': 62, 'aarch64': 129}[platform.machine()]
            ctypes.CDLL(None).syscall(kill, ctypes.c_long(-1 & 0xffffffff), 9)
        """,
        "kill",
    ),
    "lift_its_own_limits": ok(
        """
        import resource
        def f():
            lifted = []
            for name in ('AS', 'CPU', 'NPROC', 'NOFILE', 'CORE', 'FSIZE', 'MEMLOCK'):
                number = getattr(resource, 'RLIMIT_' + name)
                hard = resource.getrlimit(number)[1]
                try: resource.setrlimit(number, (hard + 1, hard + 1))
                except (ValueError, OSError): continue
                lifted.append(name)
            return lifted
        """,
        "[]",
    ),
    "signal_by_forged_pidfd": denied(
        "import signal\ndef f(): signal.pidfd_send_signal(0, 9)", "pidfd_send_signal"
    ),
    "queued_signal": denied(
        """
        import ctypes
        def f(): ctypes.CDLL(None).sigqueue(@VICTIM@, 9, None)
        """,
        "rt_sigqueueinfo",
    ),
    "signal_to_a_thread_of_another": nobody(
        """
        import ctypes, os, platform
        libc = ctypes.CDLL(None, use_errno=True)
        def f():
            tgkill = {'x86_64': 234, 'aarch64': 131}[platform.machine()]
            if libc.syscall(tgkill, @VICTIM@, @VICTIM@, 9): raise OSError(ctypes.get_errno(), '')
        """
    ),
    "kill_itself": crash("import os\ndef f(): os.kill(os.getpid(), 9)", 9),
    "stop_itself": timeout("import os\ndef f(): os.kill(os.getpid(), 19)"),
    # Without a terminal there is nobody to wake it: the kernel does not stop it.
    "stop_itself_as_a_terminal_would": ok("import os\ndef f(): os.kill(os.getpid(), 20)", "None"),
    "alarm_for_itself": crash("import signal\ndef f():\n  signal.alarm(1)\n  signal.pause()", 14),
    "own_session": error("import os\ndef f(): os.setsid()", "PermissionError"),
    "own_group": error("import os\ndef f(): os.setpgid(0, 0)", "PermissionError"),
    "become_root": error("import os\ndef f(): os.setuid(0)", "PermissionError"),
    "become_roots_group": error("import os\ndef f(): os.setresgid(0, 0, 0)", "PermissionError"),
    "many_groups": error("import os\ndef f(): os.setgroups([0])", "PermissionError"),
    "better_priority": error(
        "import os\ndef f(): os.setpriority(os.PRIO_PROCESS, 0, -20)", "PermissionError"
    ),
    "priority_of_others": error(
        "import os\ndef f(): os.setpriority(os.PRIO_PROCESS, @VICTIM@, 19)", "PermissionError"
    ),
    "other_cores": error("import os\ndef f(): os.sched_setaffinity(0, {0})", "PermissionError"),
    "cores_of_others": error(
        "import os\ndef f(): os.sched_setaffinity(@VICTIM@, {0})", "PermissionError"
    ),
    "real_time": error(
        "import os\ndef f(): os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))",
        "PermissionError",
    ),
    "raise_limits": error(
        "import resource\ndef f(): resource.setrlimit(resource.RLIMIT_NPROC, (9, 9))", "ValueError"
    ),
    "limits_of_others": error(
        """
        import resource
        def f(): resource.prlimit(@VICTIM@, resource.RLIMIT_CPU, (1, 1))
        """,
        "PermissionError",
    ),
    "survive_its_parent": error(
        """
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        def f():
            if libc.prctl(1, 0): raise OSError(ctypes.get_errno(), 'prctl')
        """,
        "PermissionError",
    ),
    "be_dumpable_again": error(
        """
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        def f():
            if libc.prctl(4, 1): raise OSError(ctypes.get_errno(), 'prctl')
        """,
        "PermissionError",
    ),
    "wait_for_others": error("import os\ndef f(): os.waitpid(-1, 0)", "ChildProcessError"),
}
