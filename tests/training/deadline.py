"""Children with a deadline: a hang kills the child and fails the test, whatever lock it hangs on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = str(Path(__file__).resolve().parent)


def environment(**more):
    """The environment of a child that imports the same pyneuro and the modules beside the tests."""
    kept = {k: v for k, v in os.environ.items() if k not in ("PYNEURO_NUM_THREADS", "OMP_NUM_THREADS")}
    path = os.pathsep.join([HERE, *(p for p in sys.path if p), str(ROOT)])
    return {**kept, "PYTHONPATH": path, **{k: str(v) for k, v in more.items()}}


def run(*command, seconds=60, cwd=None, **more):
    """Output of a child process. AssertionError when it fails, or is not back in time and killed with its children."""
    child = subprocess.Popen(
        [sys.executable, *command], env=environment(**more), cwd=cwd, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        output, _ = child.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        raise AssertionError(f"no answer after {seconds} s; so far: {child.communicate()[0]}") from None
    assert child.returncode == 0, output
    return output


def python(code, seconds=60, **more):
    """What the program `code` printed, without the last line end."""
    return run("-c", code, seconds=seconds, **more).strip()


def forked(work, seconds=60):
    """Forks here and now; the child calls `work`, which returns a bool. True when it did, in time."""
    child = os.fork()
    if not child:
        good = False
        try:
            good = bool(work())
        finally:
            os._exit(0 if good else 1)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status == 0
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    raise AssertionError(f"the forked child was not done after {seconds} s")
