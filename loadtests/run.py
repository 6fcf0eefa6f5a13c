"""Start a stub generator and the sidecar on loopback, and run locust against them for a bounded time.

python loadtests/run.py --users 8 --seconds 30
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from guardrail.testing.stub_generator import StubGenerator, run_in_thread

_HERE = Path(__file__).resolve().parent
_BIN = Path(sys.executable).parent


def main() -> int:
    """Exit status of locust: 1 when a request failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=8, help="callers at once")
    parser.add_argument("--seconds", type=int, default=30, help="length of the run")
    parser.add_argument("--policy", default="default", help="a shipped policy or a policy file")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds the stub takes for each request")
    parser.add_argument("--size", default="512x512", help="size of the pictures")
    parser.add_argument("--format", default="jpeg", help="format of the pictures")
    chosen = parser.parse_args()
    os.environ.update(LOADTEST_SIZE=chosen.size, LOADTEST_FORMAT=chosen.format)
    with run_in_thread(StubGenerator(delay=chosen.delay)) as upstream:
        sidecar = subprocess.Popen(
            [_BIN / "guardrail", "serve", "--upstream", upstream, "--port", "0", "--policy", chosen.policy],
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            url = _started(sidecar)
            _drain(sidecar)
            status = subprocess.call(
                [
                    *(_BIN / "locust", "-f", _HERE / "locustfile.py", "--headless", "--only-summary", "--host", url),
                    *("--users", str(chosen.users), "--spawn-rate", str(chosen.users)),
                    *("--run-time", f"{chosen.seconds}s"),
                ]
            )
            print(_interesting(url))
        finally:
            sidecar.terminate()
            sidecar.wait(40)
    return status


def _started(sidecar: subprocess.Popen[str]) -> str:
    assert sidecar.stderr is not None
    line = sidecar.stderr.readline()
    found = re.search(r"http://\S+", line)
    if found is None:
        sys.exit(line + sidecar.stderr.read())
    url = found.group()
    for _ in range(600):
        try:
            with urlopen(f"{url}/readyz", timeout=5):
                return url
        except URLError:
            time.sleep(0.1)
    sys.exit("the sidecar did not become ready; look at /readyz")


def _drain(sidecar: subprocess.Popen[str]) -> None:
    """Keep reading the log, so that a full pipe does not stop the sidecar."""
    stream = sidecar.stderr
    assert stream is not None
    threading.Thread(target=lambda: [None for _ in stream], daemon=True).start()


def _interesting(url: str) -> str:
    with urlopen(f"{url}/metrics", timeout=10) as response:
        lines = response.read().decode().splitlines()
    wanted = tuple(f"guardrail_{kind}_total" for kind in ("requests", "verdicts", "faults", "pictures"))
    return "\n".join(line for line in lines if line.startswith(wanted))


if __name__ == "__main__":
    sys.exit(main())
