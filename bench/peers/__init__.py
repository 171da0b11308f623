# SPDX-License-Identifier: MIT
"""Compares this emulator with others and with the machine itself, on rows that check themselves.

Programs of our own run under Linux in each guest (and natively), others on the bare machine; Debian's
boot is timed and its resident memory read. Emulators take turns within each group of rows. Every
checksum must be the same everywhere. Figures are medians; nothing is judged by the exit status but
wrong results of ours.

Peers: qemu-system-riscv64 from PATH (QEMU=command for another), a second QEMU by ORRERY_QEMU10=path,
RVVM by ORRERY_RVVM=path. ORRERY_COREMARK_LINUX=file is a static CoreMark for riscv64 Linux,
ORRERY_COREMARK_NATIVE=file one for this machine.
"""

import argparse
import json
import os
import shutil
import sys
import time

from measure import (ROOT, CannotRun, Emulator, commit, describe_host, number, summary,
                     version_of)

from . import report
from .linux import RvvmLinux, make_initrd
from .rows import BARE, BOOT, BY_NAME, ROWS, run_group

US = "orrery"


class Bench:
    def __init__(self, build, cpu_time):
        self.build = build
        self.cpu_time = cpu_time
        self.folder = os.path.join(build, "bench")
        self.native = os.path.join(self.folder, "rows.native")
        self.made_initrd = None
        self.coremark = readable("ORRERY_COREMARK_LINUX")
        if readable("ORRERY_COREMARK_NATIVE"):
            os.environ["ORRERY_COREMARK_PROGRAM"] = readable("ORRERY_COREMARK_NATIVE")

    def elf(self, name):
        path = os.path.join(self.folder, name + ".elf")
        if not os.path.exists(path):
            raise CannotRun("no riscv64-linux-gnu-gcc when this was built")
        return path

    def guest(self):
        path = os.path.join(ROOT, "build", "guest", "riscv64")
        if not os.path.exists(os.path.join(path, "Image")):
            raise CannotRun("no Debian guest; run ./dev guest")
        return path

    def initrd(self):
        if not self.made_initrd:
            init = os.path.join(self.folder, "rows.riscv64")
            if not os.path.exists(init):
                raise CannotRun("no riscv64-linux-gnu-gcc with a C library when this was built")
            path = os.path.join(self.folder, "peers-initrd")
            make_initrd(path, init, self.coremark)
            self.made_initrd = path
        return self.made_initrd


def readable(variable):
    path = os.environ.get(variable)
    if path and not os.access(path, os.R_OK):
        sys.exit(f"bench: {variable} names no file that can be read: {path}")
    return os.path.abspath(path) if path else None


def emulators_from(args, bench, notes):
    """[(name, emulator or None for this machine)]"""
    own = os.path.join(args.build, "orrery-system-riscv64")
    if not os.access(own, os.X_OK):
        sys.exit(f"bench: there is no {own}; run ./dev build")
    found = {}
    for name in args.accel.split(","):
        found[US if not found else f"{US}-{name}"] = Emulator(name, [own, "-accel", name])
    if os.access(bench.native, os.X_OK):
        found["native"] = None
    else:
        notes.append("no native column: no rows.native was built for this machine")
    qemu = shutil.which(os.environ.get("QEMU", "qemu-system-riscv64"))
    if qemu:
        found["qemu"] = Emulator("qemu", [qemu, "-accel", "tcg"])
    else:
        notes.append("no qemu-system-riscv64 in PATH")
    if os.environ.get("ORRERY_QEMU10"):
        found["qemu10"] = Emulator("qemu10", [readable("ORRERY_QEMU10"), "-accel", "tcg"])
    else:
        notes.append("no QEMU 10: ORRERY_QEMU10 is unset")
    if os.environ.get("ORRERY_RVVM"):
        found["rvvm"] = RvvmLinux("rvvm", [readable("ORRERY_RVVM")], bench.folder)
    else:
        notes.append("no RVVM: ORRERY_RVVM is unset")
    if not bench.coremark:
        notes.append("no CoreMark: ORRERY_COREMARK_LINUX is unset")
    if args.peers is not None:
        wanted = {p for p in args.peers.split(",") if p}
        found = {n: e for n, e in found.items() if n.startswith(US) or n in wanted}
    return found


def measure(bench, rows, emulators, runs, work, progress):
    """{row: {name: summary with unit and checksum, or {"reason": text}}}"""
    groups = list(dict.fromkeys(r.group for r in rows))
    samples = {r.name: {e: [] for e in emulators} for r in rows}
    failed = {}
    for group in groups:
        for n in range(runs):
            for name, emulator in emulators.items():
                if emulator is None and group in (BARE, BOOT):
                    continue
                wanted = [r.name for r in rows if r.group == group
                          and (r.name, name) not in failed]
                if not wanted:
                    continue
                progress(f"{group}: run {n + 1} of {runs}, {name}")
                for row, sample in run_group(bench, emulator, group, wanted, work).items():
                    if row not in samples:
                        continue
                    if sample.reason:
                        failed[row, name] = sample.reason
                    else:
                        samples[row][name].append(sample)
    figures = {}
    for row in samples:
        figures[row] = {}
        right = reference(samples[row])
        for name, series in samples[row].items():
            wrong = sorted({s.checksum for s in series} - {right})
            if wrong:
                figures[row][name] = {"reason": f"WRONG RESULT: checksum {' '.join(wrong)}, "
                                      f"not {right}"}
            elif (row, name) in failed:
                figures[row][name] = {"reason": failed[row, name]}
            elif series:
                figures[row][name] = {**summary([s.value for s in series]),
                                      "unit": series[0].unit, "checksum": series[0].checksum}
    return figures


def reference(by_name):
    """The checksum that counts: this machine's own, else a peer's, else ours."""
    order = ["native"] + [n for n in by_name if not n.startswith(US)] + list(by_name)
    for name in order:
        if by_name.get(name):
            return by_name[name][0].checksum
    return None


def wrong_rows(figures):
    """Ours only: what a peer gets wrong is in the report."""
    return [f"{row} ({name})" for row, by in figures.items() for name, f in by.items()
            if name.startswith(US) and f.get("reason", "").startswith("WRONG RESULT")]


# ---- A quick check of the machinery itself, for the tests.

CHECKS = {"bare": ("call-return,patch", ""),
          "linux": ("sort,n-body,jit", "/50")}


def check(bench, args):
    """Runs cheap rows on all accelerators; every one must give a figure and the same checksum."""
    names, work = CHECKS[args.check]
    if args.check == "linux":
        try:
            bench.guest()
            bench.initrd()
        except CannotRun as e:
            print(f"SKIP bench-peers: {e}")
            return 77
    emulators = emulators_from(args, bench, [])
    rows = [BY_NAME[n] for n in names.split(",")]
    figures = measure(bench, rows, emulators, 1, work, lambda text: None)
    bad = [f"{row}, {name}: {f['reason']}" for row, by in figures.items()
           for name, f in by.items() if "reason" in f]
    missing = [f"{r.name}, {e}: no figure" for r in rows for e in emulators
               if e not in figures[r.name] and not (e == "native" and args.check == "bare")]
    print(report.text(figures, list(emulators), US))
    for line in bad + missing:
        print("FAIL " + line)
    return 1 if bad or missing else 0


def parse(argv):
    invoked = os.path.dirname(os.path.abspath(sys.argv[0]))
    beside = os.path.exists(os.path.join(invoked, "build.ninja"))
    p = argparse.ArgumentParser(prog="orrery-bench peers", description=__doc__,
                                formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--build", default=invoked if beside else os.path.join(ROOT, "build"),
                   help="build folder to measure (default: %(default)s)")
    p.add_argument("--accel", default="tcg", metavar="NAME,...", help="accelerators; further ones "
                   "get columns of their own (default: %(default)s)")
    p.add_argument("--rows", default="", metavar="NAME,...",
                   help="these rows, or groups of rows, only:\n" + "\n".join(
                       f"  {r.name:15} {r.group}: {r.what}" for r in ROWS))
    p.add_argument("--runs", type=int, default=7, help="runs of each row (default: %(default)s)")
    p.add_argument("--peers", metavar="NAME,...",
                   help="these columns only, of native qemu qemu10 rvvm; '' for none")
    p.add_argument("--work", default="", metavar="*N or /N", help="N times the work in the rows "
                   "that run under Linux, or its Nth part")
    p.add_argument("--cpu-time", action="store_true", help="scale times by the share of a processor "
                   "that the emulator had\nwhile the row ran: for a busy host. Not for rows with "
                   "several vCPUs")
    p.add_argument("--json", metavar="FILE", help="where to put every run's figure (default: "
                   "BUILD/bench/peers.json)")
    p.add_argument("--check", choices=CHECKS, help=argparse.SUPPRESS)
    args = p.parse_args(argv)
    args.build = os.path.abspath(args.build)
    if args.runs < 1:
        sys.exit("bench: --runs must be at least 1")
    if args.check:
        # Which accelerators this build has shows in its folder.
        have = [a for a in ("tcg", "interp") if os.path.exists(
            os.path.join(args.build, f"accel-{a}-riscv64.so"))]
        args.accel = ",".join(have) or "interp"
        args.peers = "native"
    return args


def rows_from(names):
    chosen = []
    for name in (n for n in names.split(",") if n):
        of_group = [r for r in ROWS if r.group == name]
        if not of_group and name not in BY_NAME:
            sys.exit(f"bench: there is no row '{name}' (known: {' '.join(BY_NAME)})")
        chosen += of_group or [BY_NAME[name]]
    return [r for r in ROWS if not names or r in chosen]


def main(argv):
    args = parse(argv)
    bench = Bench(args.build, args.cpu_time)
    if args.check:
        return sys.exit(check(bench, args))
    rows = rows_from(args.rows)
    notes = []
    emulators = emulators_from(args, bench, notes)
    host = describe_host()
    start = time.monotonic()

    def progress(text):
        if sys.stderr.isatty():
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
        else:
            print(f"bench: {time.monotonic() - start:4.0f} s, {text}", file=sys.stderr, flush=True)

    figures = measure(bench, rows, emulators, args.runs, args.work, progress)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    load = os.getloadavg()[0]
    notes.append(f"load of the host: {number(host['load_1min'])} when this began, "
                 f"{number(load)} when it ended; {host['cpus']} processors")
    notes.append(f"{args.runs} runs, {time.monotonic() - start:.0f} s in all")
    if args.cpu_time:
        notes.append("times are scaled by the share of a processor that the emulator had")
    names = list(emulators)
    versions = {n: version_of(e.command[:1]) for n, e in emulators.items() if e}
    document = {"host": host, "load_at_end": load, "commit": commit(), "accel": args.accel,
                "cpu_time": args.cpu_time, "notes": notes, "emulators": versions,
                "rows": {r.name: {"group": r.group, "what": r.what, "results": figures[r.name]}
                         for r in rows}}
    path = args.json or os.path.join(args.build, "bench", "peers.json")
    with open(path, "w") as f:
        json.dump(document, f, indent=1)
        f.write("\n")
    print(report.text(figures, names, US, cpu_time=args.cpu_time))
    print()
    for note in notes + [f"{n}: {v}" for n, v in versions.items()]:
        print("- " + note)
    print(f"\nEvery run: {os.path.relpath(path)}")
    wrong = wrong_rows(figures)
    if wrong:
        sys.exit("bench: wrong results in " + ", ".join(wrong))
    return None
