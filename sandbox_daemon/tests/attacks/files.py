"""Reading, writing and filling what is not the program's."""

from __future__ import annotations

from .attack import NO_FILE, Attack, denied, error, ok

READ_ONLY = ("OSError",)


def change(statement: str) -> Attack:
    """A change of files, which the filter answers as a read-only file system would."""
    return ok(
        f"""
        import errno, os
        def f():
            try: {statement}
            except OSError as error: return errno.errorcode[error.errno]
        """,
        "'EROFS'",
    )


ATTACKS: dict[str, Attack] = {
    "read_passwd": error("def f(): return open('/etc/passwd').read()", *NO_FILE, reads=True),
    "read_canary": error("def f(): return open('@CANARY@/secret').read()", *NO_FILE, reads=True),
    "read_by_dots": error(
        """
        import os
        def f(): return open(os.path.dirname(os.__file__) + '/../' * 30 + 'etc/passwd').read()
        """,
        *NO_FILE,
        reads=True,
    ),
    "read_by_folder_descriptor": error(
        """
        import os
        def f():
            top = os.open('/', os.O_PATH)
            return os.read(os.open('etc/passwd', os.O_RDONLY, dir_fd=top), 99)
        """,
        *NO_FILE,
        reads=True,
    ),
    "list_root": ok(
        """
        import os
        def f():
            try: names = set(os.listdir('/'))
            except OSError: return []
            return sorted(names & {'etc', 'home', 'proc', 'root', 'sys', 'tmp', 'var'})
        """,
        "[]",
        reads=True,
    ),
    "read_program_of_the_host": error(
        "def f(): return open('/bin/sh', 'rb').read(4)", *NO_FILE, reads=True
    ),
    "read_proc": error("def f(): return open('/proc/self/environ').read()", *NO_FILE, reads=True),
    "read_memory_of_another": error("def f(): return open('/proc/@VICTIM@/mem', 'rb')", *NO_FILE),
    "write_its_own_score": error(
        "def f(): open('/proc/self/oom_score_adj', 'w').write('0')", *NO_FILE
    ),
    "write_kernel_settings": error(
        "def f(): open('/proc/sys/kernel/core_pattern', 'w').write('|/x')", *NO_FILE
    ),
    "trigger_sysrq": error("def f(): open('/proc/sysrq-trigger', 'w').write('')", *NO_FILE),
    "root_of_another": error(
        "def f(): return open('/proc/1/root/etc/passwd').read()", *NO_FILE, reads=True
    ),
    "read_through_own_descriptors": error(
        "def f(): return open('/proc/self/fd/0').read()", *NO_FILE, reads=True
    ),
    "read_sys": error("def f(): return open('/sys/kernel/uevent_helper').read()", *NO_FILE),
    "open_device": error("def f(): return open('/dev/kmsg')", *NO_FILE, reads=True),
    "open_memory_device": error("def f(): return open('/dev/mem', 'rb+')", *NO_FILE),
    "open_terminal": error("def f(): return open('/dev/tty', 'w')", *NO_FILE),
    "shared_memory": error("def f(): open('/dev/shm/@MARK@', 'wb').write(b'x')", *NO_FILE),
    "shared_memory_module": error(
        """
        from multiprocessing import shared_memory
        def f(): shared_memory.SharedMemory('@MARK@', create=True, size=99)
        """,
        *NO_FILE,
        "ImportError",
    ),
    "write_root": error("def f(): return open('/@MARK@', 'w')", *NO_FILE),
    "write_tmp": error("def f(): return open('/tmp/@MARK@', 'w')", *NO_FILE),
    "write_canary": error("def f(): open('@CANARY@/open', 'a').write('x')", *NO_FILE),
    "truncate_on_open": error("def f(): open('@CANARY@/open', 'w')", *NO_FILE),
    "write_library": error("import os\ndef f(): open(os.__file__, 'a').write('x')", *NO_FILE),
    "open_to_read_and_write": error(
        "import os\ndef f(): os.open('@CANARY@/open', os.O_RDWR)", *NO_FILE
    ),
    "nameless_file": error(
        "import os\ndef f(): os.open('/tmp', os.O_TMPFILE | os.O_RDWR)", *NO_FILE
    ),
    "temporary_file": error(
        "import tempfile\ndef f(): tempfile.NamedTemporaryFile(prefix='@MARK@')", *NO_FILE
    ),
    "temporary_folder": error("import tempfile\ndef f(): tempfile.mkdtemp('@MARK@')", *NO_FILE),
    "bytecode_beside_library": error(
        "import py_compile, os\ndef f(): py_compile.compile(os.__file__, doraise=True)", *NO_FILE
    ),
    "fill_the_disk": ok(
        """
        def f():
            opened = 0
            for top in ('/', '/tmp', '/dev', '/dev/shm', '/var/tmp', '/run', '@CANARY@', '.'):
                for i in range(20):
                    try: open(f'{top}/@MARK@{i}', 'wb').write(bytes(1 << 20)); opened += 1
                    except OSError: pass
            return opened
        """,
        "0",
    ),
    "database": error(
        """
        import sqlite3
        def f(): sqlite3.connect('/tmp/@MARK@').execute('create table t(x)')
        """,
        "OperationalError",
        "ImportError",
        "ModuleNotFoundError",
    ),
    "memory_file": error("import os\ndef f(): os.memfd_create('x')", "PermissionError"),
    "make_folder": change("os.mkdir('/tmp/@MARK@')"),
    "remove_file": change("os.unlink('@CANARY@/open')"),
    "remove_folder": change("os.rmdir('@CANARY@/folder')"),
    "rename": change("os.rename('@CANARY@/open', '@CANARY@/@MARK@')"),
    "symbolic_link": change("os.symlink('/etc/passwd', '/tmp/@MARK@')"),
    "link_beside_library": change("os.symlink('/etc', os.path.dirname(os.__file__) + '/@MARK@')"),
    "hard_link": change("os.link('@CANARY@/open', '@CANARY@/@MARK@')"),
    "change_mode": change("os.chmod('@CANARY@/open', 0o777)"),
    "mode_by_descriptor": change("os.fchmod(os.open(os.__file__, os.O_RDONLY), 0o777)"),
    "change_owner": change("os.chown('@CANARY@/open', 0, 0)"),
    "change_times": change("os.utime('@CANARY@/open', (0, 0))"),
    "truncate": change("os.truncate('@CANARY@/open', 0)"),
    "truncate_by_descriptor": change("os.ftruncate(os.open('/dev/null', os.O_RDONLY), 0)"),
    "named_pipe": change("os.mkfifo('/tmp/@MARK@')"),
    "make_device": change("os.mknod('/tmp/@MARK@', 0o60600, os.makedev(8, 0))"),
    "write_through_map": error(
        """
        import mmap, os
        def f():
            with open(os.__file__, 'rb') as file: mmap.mmap(file.fileno(), 0)[0] = 0
        """,
        "PermissionError",
    ),
    "lock": error(
        "import fcntl, os\ndef f(): fcntl.lockf(os.open(os.__file__, 0), fcntl.LOCK_SH)",
        "PermissionError",
    ),
    "flock": error(
        "import fcntl, os\ndef f(): fcntl.flock(os.open(os.__file__, 0), fcntl.LOCK_EX)", "OSError"
    ),
    "lease": error(
        "import fcntl, os\ndef f(): fcntl.fcntl(os.open(os.__file__, 0), 1024, 0)",
        "PermissionError",
    ),
    "notify": error(
        "import fcntl, os\ndef f(): fcntl.fcntl(os.open(os.path.dirname(os.__file__), 0), 1026, 1)",
        "PermissionError",
    ),
    "extended_attribute": denied(
        "import os\ndef f(): os.setxattr('@CANARY@/open', 'user.x', b'x')", "setxattr"
    ),
    "change_root": denied("import os\ndef f(): os.chroot('/lib')", "chroot"),
    "sync": ok("import os\ndef f(): os.sync()", "None"),
    "copy_between_files": error(
        "import os\ndef f(): os.sendfile(1, os.open(os.__file__, 0), 0, 99)", "OSError"
    ),
}
