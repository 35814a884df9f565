"""Calls a function of an untrusted program, and runs a script: python call.py [socket]."""

import sys

import redis

PROGRAM = """
def f(x):
    return sorted(x)[::-1]
"""
SCRIPT = "name = input()\nprint('hello', name)"


def main() -> None:
    path = sys.argv[1] if len(sys.argv) > 1 else "/run/azr-sandboxd.sock"
    daemon = redis.Redis(unix_socket_path=path, protocol=3, decode_responses=True)

    # Two cases of one program; an argument is what stands between a call's parentheses.
    reply = daemon.execute_command("CALL", PROGRAM, "f", 2, "[3, 1, 2]", "None", "TIMEOUT", 5000)
    for result in reply["results"]:
        if result["verdict"] == "ok":
            print("ok:", result["value"])
        else:
            print(f"{result['verdict']}: {result['type']}: {result['message']}")

    reply = daemon.execute_command("RUN", SCRIPT, "STDIN", "world", "TIMEOUT", 5000)
    print(reply["verdict"], reply["exit"], reply["stdout"], end="")


if __name__ == "__main__":
    main()
