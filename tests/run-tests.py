#!/usr/bin/env python3
"""Runs TAP programs two at a time, shows what failed, and closes with `N passed, N failed, N skipped`.

    tests/run-tests.py PROGRAM...

Each program has TEST_TIMEOUT seconds (600). A program that ends without its plan, with a non-zero
status, or too late counts as a failed test.
"""
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

TIMEOUT = int(os.environ.get("TEST_TIMEOUT", "600"))


class Result:
    def __init__(self, program):
        self.program = program
        self.passed = self.failed = self.skipped = 0
        self.seconds = 0.0
        self.lines = []
        self.problems = []


def count(result, output):
    planned = seen = None
    for line in output.splitlines():
        m = re.match(r"1\.\.(\d+)(.*)", line)
        if m:
            planned = (planned or 0) + int(m.group(1))
            if m.group(1) == "0":
                result.skipped += 1
                result.lines.append(line)
            continue
        m = re.match(r"(not )?ok\b\s*(\d+)?(.*)", line)
        if m:
            seen = (seen or 0) + 1
            if re.search(r"#\s*skip", m.group(3), re.I):
                result.skipped += 1
                result.lines.append(line)
            elif m.group(1):
                result.failed += 1
                result.problems.append(line)
            else:
                result.passed += 1
    if planned is None:
        result.problems.append("no plan: the program did not come to its end")
    elif (seen or 0) != planned:
        result.problems.append(f"{seen or 0} of {planned} planned tests ran")


def run(program):
    result = Result(program)
    begin = time.monotonic()
    with subprocess.Popen([program], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, start_new_session=True) as process:
        try:
            output, _ = process.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            output, _ = process.communicate()
            result.problems.append(f"still running after {TIMEOUT} s")
    text = output.decode(errors="replace")
    result.seconds = time.monotonic() - begin
    count(result, text)
    if process.returncode and not result.failed:
        result.problems.append(f"exit status {process.returncode}")
    if result.problems:
        result.failed = max(result.failed, 1)
        result.lines = text.splitlines()[-200:]
    return result


def show(result):
    word = "FAIL" if result.problems else "ok  "
    print(f"{word} {result.program}  {result.passed} passed"
          f"{f', {result.failed} failed' if result.failed else ''}"
          f"{f', {result.skipped} skipped' if result.skipped else ''}  {result.seconds:.1f} s",
          flush=True)
    for line in result.lines:
        print(f"     {line}")
    for problem in result.problems:
        print(f"     >> {problem}", flush=True)


def main():
    programs = sys.argv[1:]
    results = []
    with ThreadPoolExecutor(max_workers=2) as pool:
        for result in pool.map(run, programs):
            show(result)
            results.append(result)
    passed = sum(r.passed for r in results)
    failed = sum(r.failed for r in results)
    skipped = sum(r.skipped for r in results)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
