#!/usr/bin/env python3
"""Measures Muster on private clusters on this machine, each figure beside what limits it.

    run.py [--quick] [--json FILE] [NAME...]     names: submit noop latency memory
                                                 restart mpi training
                                                 traces openb growth placing waiting

Every figure is taken several times, in turn with its limit; the table has median, least and
greatest, and the median of the ratios to the limit in the same repetition. docs/benchmarks.md says
what the figures mean. Everything that is started ends with this program, also when it is
interrupted.
"""
import argparse
import os
import signal
import sys

sys.dont_write_bytecode = True
from bench import SCHEDCTL, SIGNALS, TOP, Bench  # noqa: E402
from figures import machine, machine_line, note_lines, table, write_json  # noqa: E402
from parts import PARTS  # noqa: E402


class Stopped(BaseException):
    """A signal asked for the end, or the time is over."""


def stop(number, _):
    raise Stopped(signal.Signals(number).name)


def options():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0],
                                epilog="parts: " + "; ".join(f"{name}: {part.__doc__.rstrip('.')}"
                                                             for name, part in PARTS.items()))
    p.add_argument("names", nargs="*", metavar="NAME", help="parts to measure (all)")
    p.add_argument("--quick", action="store_true", help="a small version: two repetitions, less")
    p.add_argument("--json", metavar="FILE", help="write all values there")
    p.add_argument("--scratch", metavar="DIR", help="where the clusters live (build/bench)")
    p.add_argument("--time", type=int, default=1800, metavar="SECONDS",
                   help="give up after this time (1800)")
    o = p.parse_args()
    for name in o.names:
        if name not in PARTS:
            p.error(f"there is no part \"{name}\": use {', '.join(PARTS)}")
    return o


def measure(o):
    figures = []
    with Bench(o.scratch, o.quick) as bench:
        about = machine(bench.scratch, TOP)
        bench.compile()
        for name in o.names or PARTS:
            print(f"measuring {name} ...", file=sys.stderr, flush=True)
            figures += PARTS[name](bench)
        about["load_after"] = os.getloadavg()[0]
        about.update(bench.notes)
    print(table(figures))
    print("\n" + machine_line(about))
    if note_lines(about):
        print(note_lines(about))
    if o.json:
        write_json(o.json, figures, about)


def main():
    o = options()
    if not os.path.exists(SCHEDCTL):
        sys.exit(f"{SCHEDCTL} is not built: run `make` first")
    for number in SIGNALS:
        signal.signal(number, stop)
    signal.alarm(o.time)
    try:
        measure(o)
    except Stopped as why:
        sys.exit(f"stopped: {why}")


if __name__ == "__main__":
    main()
