# SPDX-License-Identifier: MIT
"""What the benches stand on: emulators as command lines, runs of them with their console, figures.

The one idea to hold: a run either ends by itself and gives a figure, or raises CannotRun, whose text
a person reads in place of the figure.
"""

import datetime
import os
import platform
import re
import select
import signal
import statistics
import subprocess
import time

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.dirname(HERE)


class CannotRun(Exception):
    """Why a row has no figure for an emulator."""


class WrongResult(Exception):
    """A workload that ran and computed something else."""


# ---- Emulators.

class Emulator:
    """A command line to put options after. Subclasses know what theirs are called."""

    def __init__(self, name, command):
        self.name = name
        self.command = command

    def bare(self, elf, smp=1):
        """Runs an ELF file in M mode with 128 MiB, console on standard output."""
        return self.command + ["-machine", "virt", "-smp", str(smp), "-m", "128M", "-nographic",
                               "-bios", "none", "-kernel", elf]

    def linux(self, guest, append, smp=1, memory="512M", initrd=None):
        return self.command + ["-machine", "virt", "-smp", str(smp), "-m", memory, "-nographic",
                               "-no-reboot", "-bios", os.path.join(guest, "fw_dynamic.bin"),
                               "-kernel", os.path.join(guest, "Image"),
                               "-initrd", initrd or os.path.join(guest, "initrd"), "-append", append]


class Rvvm(Emulator):
    def bare(self, elf, smp=1):
        return self.command + [elf, "-nogui", "-nonet", "-m", "128M", "-smp", str(smp)]

    def linux(self, guest, append, smp=1, memory="512M", initrd=None):
        raise CannotRun("RVVM takes no initrd")


# ---- Running.

DEADLINE_S = 300


def output_of(command):
    """(console, CPU seconds) of a run that ends by itself."""
    with Running(command) as running:
        text = running.rest().decode(errors="replace")
    if running.status != 0:
        last = text.strip().splitlines()[-1:] or ["nothing printed"]
        raise CannotRun(f"exit status {running.status}: {last[0]}")
    return text, running.cpu_s


class Running:
    """A process with its console; when it is left it has ended, if need be from outside."""

    def __init__(self, command):
        self.start = time.monotonic()
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, start_new_session=True)
        self.seen = b""
        self.status = self.cpu_s = self.rss_mib = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.status is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def wait(self):
        _, status, usage = os.wait4(self.process.pid, 0)
        self.status = self.process.returncode = os.waitstatus_to_exitcode(status)
        self.cpu_s = usage.ru_utime + usage.ru_stime
        self.rss_mib = usage.ru_maxrss / 1024

    def read(self):
        """What there is; empty at the end."""
        out = self.process.stdout.fileno()
        if not select.select([out], [], [], DEADLINE_S)[0]:
            raise CannotRun(f"nothing was printed for {DEADLINE_S} s")
        return os.read(out, 65536)

    def rest(self):
        """Everything up to the end of the process."""
        pieces = []
        while piece := self.read():
            pieces.append(piece)
        self.wait()
        return b"".join(pieces)

    def until(self, wanted):
        """Seconds from the start to where the console matches a regular expression."""
        now = time.monotonic()
        while not re.search(wanted, self.seen):
            data = self.read()
            now = time.monotonic()
            if not data:
                raise CannotRun("the guest ended early: "
                                + self.seen.decode(errors="replace").strip()[-100:])
            self.seen = (self.seen + data)[-16384:]
        return now - self.start

    def cpu_seconds(self):
        """Of all threads; the scheduler's own count, which is finer than ticks."""
        total_ns = 0
        for thread in os.listdir(f"/proc/{self.process.pid}/task"):
            with open(f"/proc/{self.process.pid}/task/{thread}/schedstat") as f:
                total_ns += int(f.read().split()[0])
        return total_ns / 1e9


# ---- Figures.

def summary(values):
    ordered = sorted(values)
    if len(ordered) >= 4:
        q1, _, q3 = statistics.quantiles(ordered, n=4, method="inclusive")
    else:
        q1, q3 = ordered[0], ordered[-1]
    return {"median": statistics.median(ordered), "min": ordered[0], "max": ordered[-1],
            "iqr": q3 - q1, "runs": values}


def number(value):
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"


# ---- Where and of what.

def version_of(command):
    try:
        out = subprocess.run(command + ["--version"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    lines = (out.stdout or out.stderr).strip().splitlines()
    return lines[0] if lines else "unknown"


def describe_host():
    return {"machine": platform.machine(), "cpus": os.cpu_count(),
            "load_1min": os.getloadavg()[0], "kernel": platform.release(),
            "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds")}


def commit():
    out = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"],
                         capture_output=True, text=True)
    return out.stdout.strip() or None
