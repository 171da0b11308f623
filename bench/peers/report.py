# SPDX-License-Identifier: MIT
"""Tables and the comparison with the figures that are aimed at. Nothing here measures.

Ratios are the first emulator's: above 1 it is the better one, whichever way a row's unit points.
"""

import statistics

from measure import number

from .rows import BY_NAME, FLOAT, SMP, SUITE, better_is_less


def ratio(figures, row, a, b):
    """How many times better a is than b at a row, or None."""
    x, y = figures[row].get(a), figures[row].get(b)
    if not x or not y or "reason" in x or "reason" in y or not x["median"] or not y["median"]:
        return None
    r = x["median"] / y["median"]
    return 1 / r if better_is_less(x["unit"]) else r


def mean(values):
    return statistics.geometric_mean(values) if values else None


def times(value):
    return "-" if value is None else f"{value:.2f}x"


def unit_of(figures, row):
    for f in figures[row].values():
        if "unit" in f:
            return f["unit"]
    return ""


def rows_table(figures, names, us, spread):
    peers = [n for n in names if n != us]
    head = ["row", "unit"] + [us] + [c for p in peers for c in (p, f"{us} / {p}")]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    group = None
    for row in figures:
        if BY_NAME[row].group != group:
            group = BY_NAME[row].group
            lines.append(f"| **{group}** |" + " |" * (len(head) - 1))
        cells = [row, unit_of(figures, row)]
        for name in [us] + peers:
            f = figures[row].get(name)
            if not f or "reason" in f:
                cells.append("-")
            elif spread and len(f["runs"]) > 1:
                cells.append(f"{number(f['median'])} ({number(f['min'])}..{number(f['max'])})")
            else:
                cells.append(number(f["median"]))
            if name != us:
                cells.append(times(ratio(figures, row, us, name)))
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def means_table(figures, names, us):
    peers = [n for n in names if n != us]
    lines = ["| geometric mean of | rows | " + " | ".join(f"{us} / {p}" for p in peers) + " |",
             "|" + "---|" * (2 + len(peers))]
    for label, groups in [(g, [g]) for g in SUITE] + [("all of these", SUITE)]:
        rows = [r for r in figures if BY_NAME[r].group in groups]
        if not rows:
            continue
        cells = []
        for p in peers:
            values = [v for r in rows if (v := ratio(figures, r, us, p)) is not None]
            cells.append(times(mean(values)) + (f" ({len(values)} rows)" if values
                                                and len(values) < len(rows) else ""))
        lines.append(f"| {label} | {len(rows)} | " + " | ".join(cells) + " |")
    return lines


def slower_rows(figures, us, peers):
    """[(row, best peer, ratio)] of rows at which a peer is better, worst first."""
    found = []
    for row in figures:
        if BY_NAME[row].group == SMP:
            continue
        ratios = [(r, p) for p in peers if (r := ratio(figures, row, us, p)) is not None]
        if ratios and min(ratios)[0] < 1:
            found.append((row, min(ratios)[1], min(ratios)[0]))
    return sorted(found, key=lambda f: f[2])


# ---- What is aimed at.

def value(figures, row, name):
    f = figures.get(row, {}).get(name)
    return None if not f or "reason" in f else f["median"]


def quotient(a, b):
    return None if a is None or not b else a / b


def aims(figures, us, qemu, rvvm, cpu_time):
    """[(what, wanted, figure or None, met)]; scaled times are not held against others."""
    out = []

    def at_least(what, figure, wanted):
        out.append((what, f"at least {wanted:g}", figure, figure is not None and figure >= wanted))

    def at_most(what, figure, wanted):
        out.append((what, f"at most {wanted:g}", figure, figure is not None and figure <= wanted))

    def have(row):
        return row in figures

    def of_groups(groups, peer):
        return mean([v for r in figures if BY_NAME[r].group in groups
                     and (v := ratio(figures, r, us, peer)) is not None])

    if have("coremark"):
        at_least(f"CoreMark / {qemu}", ratio(figures, "coremark", us, qemu), 3.5)
        at_least(f"CoreMark / {rvvm}", ratio(figures, "coremark", us, rvvm), 2)
        at_least("CoreMark / native", ratio(figures, "coremark", us, "native"), 0.5)
    if any(BY_NAME[r].group in SUITE for r in figures):
        at_least(f"geometric mean of the suite / {qemu}", of_groups(SUITE, qemu), 2.5)
    for row in figures:
        if BY_NAME[row].group == FLOAT:
            at_least(f"{row} / {qemu}", ratio(figures, row, us, qemu), 4)
    for smp in (1, 2):
        if have(f"boot-{smp}"):
            at_most(f"boot, -smp {smp}, time / {rvvm}'s",
                    quotient(value(figures, f"boot-{smp}", us),
                             value(figures, f"boot-{smp}", rvvm)), 0.75)
            at_most(f"boot, -smp {smp}, time / {qemu}'s",
                    quotient(value(figures, f"boot-{smp}", us),
                             value(figures, f"boot-{smp}", qemu)), 0.5)
        if have(f"resident-{smp}"):
            at_most(f"resident, -smp {smp}, / {rvvm}'s",
                    quotient(value(figures, f"resident-{smp}", us),
                             value(figures, f"resident-{smp}", rvvm)), 1)
    if have("copy-unrelated") and have("copy-32m-apart"):
        at_most("copying 32 MiB apart, time / unrelated",
                quotient(value(figures, "copy-unrelated", us),
                         value(figures, "copy-32m-apart", us)), 1.3)
    if have("timer-wait"):
        at_most("spin wait for a timer of 1 us, us",
                quotient(value(figures, "timer-wait", us), 1000), 20)
    if have("coremark") and have("one-smp2") and not cpu_time:
        at_least("one CoreMark, -smp 2 / -smp 1",
                 quotient(value(figures, "one-smp2", us), value(figures, "coremark", us)), 0.95)
    if have("one-smp2") and have("two-smp2"):
        at_least("two CoreMarks / one, -smp 2",
                 quotient(value(figures, "two-smp2", us), value(figures, "one-smp2", us)), 1.9)
    if have("eight-smp2") and have("eight-smp8"):
        at_most("eight CoreMarks, time at -smp 8 / -smp 2",
                quotient(value(figures, "eight-smp2", us), value(figures, "eight-smp8", us)), 1.2)
    return out


def text(figures, names, us, spread=True, cpu_time=False):
    """The whole report; names in the order of columns, the first ours."""
    peers = [n for n in names if n not in (us, "native") and not n.startswith(us)]
    lines = rows_table(figures, names, us, spread)
    lines += ["", "Median (smallest..largest). In the ratios more is better for "
              f"{us} in every row."]
    if any(BY_NAME[r].group in SUITE for r in figures):
        lines += [""] + means_table(figures, names, us)
    slower = slower_rows(figures, us, peers)
    if peers:
        lines += ["", f"Rows at which {us} is behind the better of {', '.join(peers)}: "
                  + (", ".join(f"{r} ({x:.2f}x of {p})" for r, p, x in slower) or "none") + "."]
    qemu = next((p for p in peers if p.startswith("qemu")), "qemu")
    wanted = aims(figures, us, qemu, "rvvm", cpu_time)
    if wanted:
        lines += ["", "| aim | wanted | seen | |", "|---|---|---|---|"]
        for what, limit, figure, met in wanted:
            seen = "no figure" if figure is None else f"{figure:.2f}"
            lines.append(f"| {what} | {limit} | {seen} | "
                         + ("met" if met else "" if figure is None else "missed") + " |")
    reasons = [f"{row}, {name}: {f['reason']}" for row in figures
               for name, f in figures[row].items() if "reason" in f]
    if reasons:
        lines += ["", "No figure:"] + ["- " + r for r in reasons]
    return "\n".join(lines)
