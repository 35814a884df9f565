"""SandboxFusion's own client against `azr-fast sandbox gateway`: another URL is all that changes.

python examples/fusion_client.py                          starts a gateway for itself
python examples/fusion_client.py http://127.0.0.1:8080    asks one that runs
"""

import re
import subprocess
import sys
from contextlib import contextmanager

from sandbox_fusion import RunCodeRequest, run_code


@contextmanager
def gateway():
    """The address of a gateway that ends with the block; port 0 takes any that is free."""
    words = [sys.executable, "-m", "azr_fast.cli", "sandbox", "gateway", "--http", "127.0.0.1:0"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        yield next(found[0] for line in process.stdout if (found := re.search(r"http://\S+", line)))
    finally:
        process.terminate()
        process.wait()


def ask(url):
    """Two scripts: one that prints what it reads, one that never ends."""
    for code, stdin in (("print(input()[::-1])", "hello"), ("while True: pass", "")):
        request = RunCodeRequest(code=code, language="python", stdin=stdin, run_timeout=2)
        answer = run_code(request, endpoint=url, max_attempts=1)
        result = answer.run_result
        print(f"{answer.status.value}: {result.status.value}, {result.stdout.strip()!r}")


def main():
    if len(sys.argv) > 1:
        ask(sys.argv[1])
    else:
        with gateway() as url:
            ask(url)


if __name__ == "__main__":
    main()
