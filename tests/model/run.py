#!/usr/bin/env python3
"""The lease protocol under Spin: every variant holds, every mutant is found.

    tests/model/run.py              # as in `make check`: about a minute, 0.6 GB
    MODEL=full tests/model/run.py   # every state exactly, and gangs over two faults: 30 minutes, 10 GB
    tests/model/run.py NO_RULE1     # one search by the name in its line

What fails leaves its trail in build/model/NAME; `spin -t -p lease.pml` there prints it step by step.
"""
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(TOP, "tests", "system"))
from muster import Tap

FULL = os.environ.get("MODEL") == "full"
COMPACT = ["-DHC4"]  # a state is kept as a hash: one in a hundred is taken for another
EXACT = ["-DCOLLAPSE"]
BITS = ["-DBITSTATE"]  # two bits a state: a sample of a space too large to keep

# Name, definitions, how states are kept, pan's flags.
HOLDS = [
    ("requeue", "FAULTS=2 MAX_TIME=4", COMPACT, ["-w25"]),
    ("wait", "FAULTS=2 WAIT", COMPACT, ["-w22"]),
    ("gang", "FAULTS=1 GANG MAX_TIME=3", COMPACT, ["-w24"]),
    ("gang_wait", "FAULTS=1 GANG WAIT MAX_TIME=3", COMPACT, ["-w24"]),
]
HOLDS_FULL = [
    ("requeue", "FAULTS=2", EXACT, ["-w26"]),
    ("wait", "FAULTS=2 WAIT", EXACT, ["-w24"]),
    ("gang", "FAULTS=1 GANG", COMPACT, ["-w28"]),
    ("gang_wait", "FAULTS=1 GANG WAIT", COMPACT, ["-w28"]),
    ("gang_two_faults", "FAULTS=2 GANG", BITS, ["-w34", "-Q20"]), # for 20 minutes
]
# What each rule is for: without it the search must find a run that breaks a promise. Name, faults.
MUTANTS = [
    ("NO_RULE1", 1, "a lease counts from the grant's arrival"),
    ("NO_RULE2", 1, "a restarted agent invents the deadline, the shepherd keeps none"),
    ("NO_RULE4", 2, "a success before a reboot does not count"),
    ("NO_RULE5", 1, "a restarted scheduler takes leases as over"),
    ("NO_SESSION", 1, "messages of older links are read"),
    ("NO_START_CHECK", 1, "an order is not looked at again before the start"),
    ("NO_LAUNCH2", 1, "a shepherd starts without the attempt's lock"),
    ("NO_LAUNCH4", 2, "an end is told before it is on disk"),
]
# What must be possible at all.
REACHED = [("REACH_COMPLETED", 0, "a job completes"), ("REACH_SECOND", 1, "a second attempt starts")]

tap = Tap()


def search(name, definitions, keep, flags, optimise="-O2"):
    """(errors, states, output of the search, or why there was none)"""
    where = os.path.join(TOP, "build", "model", name)
    os.makedirs(where, exist_ok=True)
    words = ["-D" + d for d in definitions.split()]

    def run(*command):
        return subprocess.run(command, cwd=where, capture_output=True, text=True)

    subprocess.run(["cp", os.path.join(HERE, "lease.pml"), where], check=True)
    made = run("spin", "-a", *words, "lease.pml")
    if made.returncode == 0:
        made = run("gcc", optimise, "-w", "-DSAFETY", "-DMEMLIM=16000", *keep, "-o", "pan", "pan.c")
    if made.returncode:
        return None, 0, made.stdout + made.stderr
    output = run("./pan", "-m100000", "-n", *flags).stdout
    errors = re.search(r"errors: (\d+)", output)
    states = re.search(r"^\s*([\d.e+]+) states, stored", output, re.M)
    if not errors or not states or "max search depth too small" in output or \
            "memory exhausted" in output or "out of memory" in output:
        return None, 0, output
    return int(errors.group(1)), float(states.group(1)), output


def main(wanted):
    chosen = lambda name: not wanted or name in wanted
    for name, definitions, keep, flags in HOLDS_FULL if FULL else HOLDS:
        if chosen(name):
            errors, states, output = search(name, definitions, keep, flags)
            tap.ok(errors == 0 and states > 10_000,
                   f"{name} ({definitions}): holds in {states / 1e6:.1f} million states", output)
    for name, faults, what in MUTANTS + REACHED:
        if chosen(name):
            errors, _, output = search(name, f"FAULTS={faults} MAX_TIME=3 {name}", COMPACT, ["-w20"], "-O1")
            tap.ok(errors and "assertion violated" in output, f"{name}: {what}: is found", output)


main(sys.argv[1:])
tap.done()
