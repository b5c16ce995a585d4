#!/usr/bin/env python3
"""The simulator's share of the tests (TAP): seeds judged, the same narration in every build, and the
proof that faults planted on purpose are found.

    SIM_MODES="release debug" SEEDS=1-560 PLANTED_SEEDS=1-500 tests/sim/check.py

The first mode judges SEEDS; the others must tell, word for word, what the first one tells of the
first HASHED of them. Empty PLANTED_SEEDS: without that proof. Needs build/MODE/tests/sim of each mode.
"""
import os
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HASHED = int(os.environ.get("HASHED", "60"))


def sim(mode, *arguments):
    return subprocess.run([os.path.join(TOP, "build", mode, "tests", "sim"), *arguments],
                          capture_output=True, text=True, check=False)


def say(well, number, name, run):
    print(f"{'ok' if well else 'not ok'} {number} - {name}")
    for line in (run.stdout if well else run.stdout + run.stderr).splitlines()[-100:]:
        print(line if line.startswith("#") else f"# {line}")


def hashes(mode):
    run = sim(mode, f"--seeds=1-{HASHED}", "--hashes")
    return run, sorted(run.stdout.splitlines())


def main():
    modes = os.environ.get("SIM_MODES", "release debug").split()
    seeds = os.environ.get("SEEDS", "1-560")
    planted = os.environ.get("PLANTED_SEEDS", "1-500")
    print(f"1..{len(modes) + (1 if planted else 0)}")
    run = sim(modes[0], f"--seeds={seeds}")
    say(run.returncode == 0, 1, f"seeds {seeds}, {modes[0]}", run)
    failed = run.returncode != 0
    _, first = hashes(modes[0])
    for number, mode in enumerate(modes[1:], 2):
        run, other = hashes(mode)
        same = run.returncode == 0 and len(first) == HASHED and first == other
        run.stdout = f"# {sum(a == b for a, b in zip(first, other))} of {HASHED} are the same"
        say(same, number, f"seeds 1-{HASHED}: {mode} tells what {modes[0]} tells", run)
        failed |= not same
    if planted:
        run = sim("planted", f"--seeds={planted}", "--planted=all")
        say(run.returncode == 0, len(modes) + 1, f"planted faults are found in seeds {planted}",
            run)
        failed |= run.returncode != 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
