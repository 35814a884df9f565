"""Sockets of every kind: none can be made."""

from __future__ import annotations

from .attack import Attack, any_of, denied, error


def socket(family: str, kind: str = "SOCK_STREAM", protocol: int = 0) -> Attack:
    return denied(
        f"import socket\ndef f(): socket.socket({family}, socket.{kind}, {protocol})", "socket"
    )


def connect(family: str, address: str) -> Attack:
    return denied(
        f"""
        import socket
        def f():
            s = socket.socket(socket.{family})
            s.connect({address})
            s.sendall(b'@MARK@')
        """,
        "socket",
    )


ATTACKS: dict[str, Attack] = {
    "tcp": connect("AF_INET", "('127.0.0.1', @PORT@)"),
    "tcp_outside": connect("AF_INET", "('192.0.2.1', 80)"),
    "tcp_6": connect("AF_INET6", "('::1', @PORT@)"),
    "unix": connect("AF_UNIX", "'@CANARY@/listener'"),
    "abstract_unix": connect("AF_UNIX", "'\\0@ABSTRACT@'"),
    "daemons_own_socket": connect("AF_UNIX", "'@SOCKET@'"),
    "docker": connect("AF_UNIX", "'/var/run/docker.sock'"),
    "udp": socket("socket.AF_INET", "SOCK_DGRAM"),
    "raw": socket("socket.AF_INET", "SOCK_RAW", 1),
    "packet": socket("17", "SOCK_RAW", 0x0300),
    "netlink": socket("16", "SOCK_RAW"),
    "netlink_audit": socket("16", "SOCK_RAW", 9),
    "vsock": socket("40"),
    "kernel_crypto": socket("38", "SOCK_SEQPACKET"),
    "bluetooth": socket("31", "SOCK_RAW", 1),
    "can": socket("29", "SOCK_RAW", 1),
    "xdp": socket("44", "SOCK_RAW"),
    "pair": denied("import socket\ndef f(): socket.socketpair()", "socketpair"),
    "server": denied("import socket\ndef f(): socket.create_server(('', @PORT@))", "socket"),
    "download": denied(
        "import urllib.request\ndef f(): urllib.request.urlopen('http://127.0.0.1:@PORT@')",
        "socket",
    ),
    "resolve": denied("import socket\ndef f(): socket.getaddrinfo('example.org', 80)", "socket"),
    "mail": denied(
        "import smtplib\ndef f(): smtplib.SMTP('127.0.0.1', @PORT@)", "socket", "socketpair"
    ),
    "event_loop": denied("import asyncio\ndef f(): asyncio.run(asyncio.sleep(0))", "socketpair"),
    "system_log": denied("import syslog\ndef f(): syslog.syslog('@MARK@')", "socket"),
    "inherited_descriptors": denied(
        """
        import ctypes, os, platform
        def f():
            sendto = {'x86_64': 44, 'aarch64': 206}[platform.machine()]
            for fd in range(3, 1000):
                try: os.fstat(fd)
                except OSError: continue
                return 'a descriptor was left open'
            ctypes.CDLL(None).syscall(sendto, 1, b'x', 1, 0, 0, 0)
        """,
        "sendto",
    ),
    "send_on_standard_output": any_of(  # no socket is at hand; where zygotes need no such call
        """
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        def f():
            if libc.sendmsg(1, bytes(64), 0): raise OSError(ctypes.get_errno(), 'sendmsg')
        """,
        "error",
        "denied",
    ),
    "interfaces_by_ioctl": error(
        "import fcntl\ndef f(): fcntl.ioctl(1, 0x8912, bytes(64))", "PermissionError"
    ),
    "push_into_terminal": error(
        "import fcntl\ndef f(): fcntl.ioctl(0, 0x5412, b'x')", "PermissionError"
    ),
}
