"""Where the recorded workloads are, and running `schedctl simulate` on them.

They are no part of the project: without ../shared/data what needs them is skipped.
"""
import csv
import gzip
import json
import os
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests", "system"))
from muster import SCHEDCTL, Tap  # noqa: E402,F401

DATA = os.path.join(TOP, "..", "shared", "data", "traces")
NASA = os.path.join(DATA, "swf", "NASA-iPSC-1993-3.1-cln.swf.gz")
LCG = os.path.join(DATA, "swf", "LCG-2005-1.swf.gz")
PHILLY = os.path.join(DATA, "philly", "philly.csv.gz")
POLLUX = [os.path.join(DATA, "pollux", f"workload-{i}.csv") for i in range(1, 5)]
OPENB = os.path.join(DATA, "openb")
OPENB_NODES = os.path.join(OPENB, "openb_node_list_gpu_node.csv")


def need(tap, path):
    """Is the file there? If not, everything of the test is skipped."""
    if os.path.exists(path):
        return True
    tap.skip("recorded workloads", f"{os.path.relpath(path, TOP)} is not there")
    return False


def opened(path):
    return gzip.open(path, "rt") if path.endswith(".gz") else open(path, encoding="utf-8")


def simulate(*args, timeout=300):
    """The JSON object that `schedctl simulate` prints."""
    run = subprocess.run([SCHEDCTL, "simulate", "-o", "json", *args], text=True, timeout=timeout,
                         capture_output=True, stdin=subprocess.DEVNULL, check=False)
    if run.returncode:
        raise RuntimeError(f"schedctl simulate {' '.join(args)}: {run.returncode} {run.stderr}")
    return json.loads(run.stdout)


def simulate_jobs(*args):
    """The JSON object, and the rows of --csv as dictionaries."""
    with tempfile.TemporaryDirectory() as scratch:
        path = os.path.join(scratch, "jobs.csv")
        result = simulate("--csv", path, *args)
        with open(path, newline="", encoding="utf-8") as f:
            return result, list(csv.DictReader(f))


def swf(path):
    """(number, submit, run, processors) of each job, by columns alone."""
    with opened(path) as f:
        rows = [line.split() for line in f if line.strip() and not line.startswith(";")]
    return [(int(r[0]), float(r[1]), float(r[3]), int(r[4])) for r in rows]
