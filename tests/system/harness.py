# SPDX-License-Identifier: MIT
"""What the system tests share: finding the emulator and the guest, running with a deadline, and the
exit statuses that Meson understands (0 passed, 77 skipped with its reason printed, 1 failed).

A deadline only ends a run that hangs. It is generous, and no test judges how fast a guest was.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
PASSED, FAILED, SKIPPED = 0, 1, 77


def skip(name, reason):
    print(f"SKIP {name}: {reason}")
    sys.exit(SKIPPED)


def fail(name, reason, output=b""):
    """Prints the reason under the end of the guest's output, where a reader looks last."""
    if output:
        tail = output.decode(errors="replace").splitlines()[-40:]
        print("\n".join(["---- end of the output"] + tail + ["----"]))
    print(f"FAIL {name}: {reason}")
    sys.exit(FAILED)


def parser(doc, deadline_s):
    """An ArgumentParser with the options every driver takes."""
    p = argparse.ArgumentParser(description=doc.splitlines()[0])
    p.add_argument("--emulator", help="default: $ORRERY_EMULATOR, then the build being tested")
    p.add_argument("--accel", default="interp", help="accelerator (default: %(default)s)")
    p.add_argument("--deadline", type=float, metavar="S", default=deadline_s,
                   help="seconds after which a run counts as hung (default: %(default)s)")
    return p


def find_emulator(name, given):
    """The emulator to test. Meson runs tests in the build folder, a person at the tree's root."""
    for path in (given, os.environ.get("ORRERY_EMULATOR")):
        if path:
            found = shutil.which(path)
            if not found:
                fail(name, f"no emulator {path}")
            return os.path.abspath(found)
    for path in ("orrery-system-riscv64", os.path.join(ROOT, "build", "orrery-system-riscv64")):
        if os.access(path, os.X_OK):
            return os.path.abspath(path)
    fail(name, "no orrery-system-riscv64 here; run ./dev build or name one with --emulator")


def guest_dir(name, arch="riscv64"):
    """The folder of Debian guest artefacts, made if it can be; the test is skipped if not."""
    out = os.path.join(ROOT, "build", "guest", arch)
    command = [os.path.join(ROOT, "tools", "guest", "make-guest")]
    if os.environ.get("ORRERY_GUEST_OFFLINE"):
        command.append("--offline")
    done = subprocess.run(command + [arch, out], stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True)
    if done.returncode == 3:
        skip(name, "no guest artefacts in build/guest, and they cannot be fetched")
    if done.returncode != 0:
        fail(name, "tools/guest/make-guest failed: " + done.stderr.strip())
    return out


def run(command, deadline_s, cwd=None):
    """(exit status, output); the status is None if the deadline ended the run.

    The command leads its own process group, so that nothing of it is left behind.
    """
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, start_new_session=True, cwd=cwd)
    try:
        output, _ = process.communicate(timeout=deadline_s)
        return process.returncode, output
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        return None, output


def describe_status(status):
    if status is None:
        return "it hung (the deadline ended it)"
    if status < 0:
        return f"it was killed by {signal.Signals(-status).name}"
    return f"its exit status was {status}"
