# SPDX-License-Identifier: MIT
"""The rows of the comparison, and how a batch of them is run.

The one idea to hold: a batch is one process (a boot of Linux, a bare-metal program, the native
program) that reports several rows by lines "RUN name", "ROW name value unit checksum" and "FAIL name
why". A row that hangs or ends the guest is named, and the rows after it get a process of their own.
"""

import os
import re
import select
import time

from measure import CannotRun, Running, output_of

SILENCE_S = 90


class Row:
    def __init__(self, name, group, what):
        self.name = name
        self.group = group
        self.what = what


class Sample:
    """One run's figure, or why there is none."""

    def __init__(self, value=None, unit=None, checksum=None, reason=None):
        self.value = value
        self.unit = unit
        self.checksum = checksum
        self.reason = reason


# Groups whose rows make the geometric mean, in the table's order, with where they run.
INTEGER, FLOAT, MEMORY, SYSTEM, BARE, BOOT, SMP = (
    "integer", "floating point", "memory", "system", "bare metal", "boot", "several vCPUs")
SUITE = [INTEGER, FLOAT, MEMORY, SYSTEM, BARE]

ROWS = [
    Row("coremark", INTEGER, "CoreMark, 3000 iterations"),
    Row("records", INTEGER, "records and strings, a mix as in application code"),
    Row("calls", INTEGER, "recursive calls"),
    Row("sort", INTEGER, "sorting 32768 numbers"),
    Row("sieve", INTEGER, "primes below 500,000"),
    Row("compress", INTEGER, "packing and unpacking 128 KiB of text"),
    Row("sha256", INTEGER, "SHA-256 of 64 KiB"),
    Row("regex", INTEGER, "five patterns over 128 KiB of text, by backtracking"),
    Row("interpreter", INTEGER, "an interpreter of bytecode, hailstone sequences to 4000"),
    Row("n-body", FLOAT, "five bodies in orbit"),
    Row("mandelbrot", FLOAT, "96 x 96 points, up to 200 steps"),
    Row("linpack", FLOAT, "160 linear equations"),
    Row("matmul", FLOAT, "96 x 96 matrices, fused multiply-add"),
    Row("fft", FLOAT, "4096 complex points, there and back"),
    Row("chase-16k", MEMORY, "a chain of loads in 16 KiB"),
    Row("chase-1m", MEMORY, "the same in 1 MiB"),
    Row("chase-16m", MEMORY, "the same in 16 MiB"),
    Row("chase-256m", MEMORY, "the same in 256 MiB"),
    Row("stream", MEMORY, "a = b + 3c over 12 MiB"),
    Row("random-4m", MEMORY, "loads at random in 4 MiB"),
    Row("copy-unrelated", MEMORY, "64 KiB word by word between unrelated buffers"),
    Row("copy-32m-apart", MEMORY, "the same between buffers 32 MiB apart"),
    Row("atomic-add", MEMORY, "atomic additions to one word"),
    Row("getppid", SYSTEM, "a system call"),
    Row("fault", SYSTEM, "first touch of a page"),
    Row("signal", SYSTEM, "a signal to itself and its handler"),
    Row("mmap", SYSTEM, "mmap of 64 KiB, one touch, munmap"),
    Row("fork-exec", SYSTEM, "fork, exec, wait"),
    Row("pipe", SYSTEM, "a byte to another process and back"),
    Row("switch", SYSTEM, "a switch between 8 processes of 32 KiB"),
    Row("jit", SYSTEM, "1000 instructions written, run ten times"),
    Row("csr", BARE, "write and read of mscratch"),
    Row("ecall", BARE, "ecall and mret, M mode"),
    Row("mmio", BARE, "read of the UART's LSR"),
    Row("ipi", BARE, "software interrupt to itself, to its handler"),
    Row("timer-wait", BARE, "spin wait for a timer that is due in 1 us"),
    Row("call-return", BARE, "a group of four calls"),
    Row("patch", BARE, "an instruction patched, fence.i, run"),
    Row("page-random", BARE, "load from a random page of 64 MiB, Sv39"),
    Row("sfence-all", BARE, "sfence.vma, load"),
    Row("sfence-page", BARE, "sfence.vma of one page, load"),
    Row("asid-switch", BARE, "satp to another ASID, load"),
    Row("boot-1", BOOT, "Debian to BOOT-OK, -smp 1 -m 1G"),
    Row("boot-2", BOOT, "the same, -smp 2"),
    Row("resident-1", BOOT, "resident at power-off, -smp 1 -m 1G"),
    Row("resident-2", BOOT, "the same, -smp 2"),
    Row("one-smp2", SMP, "one CoreMark, -smp 2"),
    Row("two-smp2", SMP, "two CoreMarks at once, -smp 2"),
    Row("eight-smp2", SMP, "eight CoreMarks at once, -smp 2"),
    Row("eight-smp8", SMP, "eight CoreMarks at once, -smp 8"),
]
BY_NAME = {r.name: r for r in ROWS}

BARE_PROGRAMS = {"peers-trap": ["csr", "ecall", "mmio", "ipi", "timer-wait"],
                 "peers-code": ["call-return", "patch"],
                 "peers-mmu": ["page-random", "sfence-all", "sfence-page", "asid-switch"]}

LESS_IS_BETTER = {"ns", "us", "ms", "s", "MiB"}


def better_is_less(unit):
    return unit in LESS_IS_BETTER


# ---- Reading a batch's console.

class Batch:
    """Runs a command and reads rows off its console."""

    def __init__(self, command, names, cpu_time):
        self.command = command
        self.names = names
        self.cpu_time = cpu_time
        self.samples = {}
        self.current = None
        self.why = None

    def run(self):
        """Samples by name; rows that were not reached are absent."""
        with Running(self.command) as running:
            pending = b""
            while True:
                if not select.select([running.process.stdout], [], [], SILENCE_S)[0]:
                    self.why = f"nothing was printed for {SILENCE_S} s"
                    break
                data = os.read(running.process.stdout.fileno(), 65536)
                if not data:
                    running.wait()
                    if not self.why:
                        self.why = f"the emulator ended with status {running.status}" + self.last
                    break
                pending += data
                *lines, pending = pending.split(b"\n")
                done = False
                for line in lines:
                    done |= self.line(line.decode(errors="replace").strip())
                if done:
                    # Power-off is nobody's row, but a guest that hangs there has failed to end.
                    deadline = time.monotonic() + SILENCE_S
                    while time.monotonic() < deadline and running.read():
                        pass
                    running.wait()
                    break
            if self.cpu_time:
                cpu_s = running.cpu_seconds() if running.cpu_s is None else running.cpu_s
                self.scale(time.monotonic() - running.start, cpu_s)
        return self.samples

    last = ""

    def line(self, text):
        """True: all rows are over."""
        words = text.split()
        if text:
            self.last = f" after '{text[-80:]}'"
        if len(words) == 2 and words[0] == "RUN":
            self.current = words[1]
        elif len(words) == 5 and words[0] == "ROW":
            self.samples[words[1]] = Sample(float(words[2]), words[3], words[4])
            self.current = None
        elif len(words) >= 3 and words[0] == "FAIL":
            self.samples[words[1]] = Sample(reason=" ".join(words[2:]))
            self.current = None
        return words == ["DONE"]

    def scale(self, wall_s, cpu_s):
        """By the share of a processor that the whole process had: lines may be read late."""
        share = min(1.0, max(0.01, cpu_s / wall_s))
        for sample in self.samples.values():
            if sample.value is not None:
                sample.value *= share if better_is_less(sample.unit) else 1 / share


def run_batch(make_command, names, cpu_time=False):
    """{name: Sample} for all names; make_command(names) gives the command."""
    samples, left = {}, list(names)
    while left:
        batch = Batch(make_command(left), left, cpu_time)
        got = batch.run()
        samples.update(got)
        left = [n for n in left if n not in samples]
        if not left:
            break
        culprit = batch.current if batch.current in left else left[0]
        samples[culprit] = Sample(reason=batch.why or "the guest ended before it")
        left.remove(culprit)
        if batch.current is None and not got:
            # It did not come as far as any row.
            samples.update({n: Sample(reason=samples[culprit].reason) for n in left})
            break
    return samples


# ---- Kinds of batches. Each gives {row name: Sample}.

def linux_batch(bench, emulator, names, smp=1, work="", prefixes=None):
    """Rows under Linux; prefixes gives another spelling for a row."""
    spelled = {n: (prefixes[n] if prefixes else n) + work for n in names}

    def command(wanted):
        return emulator.linux(bench.guest(), "console=ttyS0 quiet panic=-1 rows="
                              + ",".join(wanted), smp, "1G", bench.initrd())

    got = run_batch(command, list(spelled.values()), bench.cpu_time and smp == 1)
    return {n: got[s] for n, s in spelled.items()}


def native_batch(bench, names, work="", prefixes=None):
    samples = {}
    for n in names:
        spelled = (prefixes[n] if prefixes else n) + work
        start = time.monotonic()
        text, cpu_s = output_of([bench.native, spelled])
        wall = time.monotonic() - start
        batch = Batch(None, [spelled], False)
        for line in text.splitlines():
            batch.line(line.strip())
        if bench.cpu_time and not prefixes:
            batch.scale(wall, cpu_s)
        sample = batch.samples.get(spelled, Sample(reason="no report"))
        samples[n] = sample
    return samples


def bare_batch(bench, emulator, names):
    samples = {}
    for program, rows in BARE_PROGRAMS.items():
        wanted = [n for n in rows if n in names]
        if not wanted:
            continue
        elf = bench.elf(program)
        batch = Batch(emulator.bare(elf), rows, bench.cpu_time)
        got = batch.run()
        for n in wanted:
            if n in got:
                samples[n] = got[n]
            elif batch.current == n:
                samples[n] = Sample(reason=batch.why or "the guest ended before it")
            else:
                samples[n] = Sample(reason=f"not reached: {batch.why}"
                                    + (f", in {batch.current}" if batch.current else ""))
    return samples


def boot_batch(bench, emulator, names):
    samples = {}
    for smp in (1, 2):
        boot, resident = f"boot-{smp}", f"resident-{smp}"
        if boot not in names and resident not in names:
            continue
        with Running(emulator.linux(bench.guest(), "console=ttyS0", smp, "1G")) as running:
            seconds = running.until(rb"BOOT-OK uptime=")
            share = min(1.0, running.cpu_seconds() / seconds) if bench.cpu_time and smp == 1 else 1
            running.until(rb"SELF-CHECK (ok|FAIL)")
            if not re.search(rb"SELF-CHECK ok", running.seen):
                raise CannotRun("the guest's self-check failed")
            running.rest()
        samples[boot] = Sample(seconds * share, "s", "ok")
        samples[resident] = Sample(running.rss_mib, "MiB", "ok")
    return samples


SMP_SPELLINGS = {"one-smp2": "coremark", "two-smp2": "2xcoremark", "eight-smp2": "8xcoremark/4",
                 "eight-smp8": "8xcoremark/4"}


def smp_batch(bench, emulator, names):
    samples = {}
    for smp in (2, 8):
        wanted = [n for n in names if n.endswith(f"smp{smp}")]
        if wanted and emulator is None:
            samples.update(native_batch(bench, wanted, prefixes=SMP_SPELLINGS))
        elif wanted:
            samples.update(linux_batch(bench, emulator, wanted, smp, prefixes=SMP_SPELLINGS))
    return samples


def run_group(bench, emulator, group, names, work=""):
    """emulator None: this machine itself."""
    try:
        if group == BARE:
            return bare_batch(bench, emulator, names)
        if group == BOOT:
            return boot_batch(bench, emulator, names)
        if group == SMP:
            return smp_batch(bench, emulator, names)
        if emulator is None:
            return native_batch(bench, names, work)
        return linux_batch(bench, emulator, names, 1, work)
    except CannotRun as e:
        return {n: Sample(reason=str(e)) for n in names}
