#!/usr/bin/env python3
"""Nothing is lost between a file and the figures: every job of it ended or is named, and the
scheduler gave out as many processor-seconds as the file's columns add up to."""
import csv
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from traces import (LCG, NASA, OPENB, OPENB_NODES, PHILLY, POLLUX, Tap, need, opened,  # noqa: E402
                    simulate, swf)


def given_out(result, what):
    """Core- or GPU-seconds, from the share that the nodes' own books show."""
    return result[f"{what}_allocation_pct"] / 100 * result[f"{what}s"] * result["makespan_s"]


def near(a, b):
    return abs(a - b) <= 2e-4 * b


def totals(tap, name, path, jobs, seconds, what, *options):
    r = simulate("--trace", path, *options)
    ended = r["jobs_completed"] + r["jobs_refused"] + r["jobs_never_ran"] + r["lines_unreadable"]
    tap.equal((ended, r["jobs_completed"], r["jobs_waiting"], r["jobs_failed"]),
              (jobs, jobs, 0, 0), f"{name}: all {jobs} jobs completed")
    tap.ok(near(given_out(r, what), seconds), f"{name}: {seconds:.0f} {what}-seconds given out",
           f"{given_out(r, what):.0f}")


def csv_rows(path):
    with opened(path) as f:
        return [row for row in csv.DictReader(f) if row]


tap = Tap()
for name, path in (("NASA iPSC", NASA), ("LCG", LCG)):
    if need(tap, path):
        jobs = swf(path)
        totals(tap, name, path, len(jobs), sum(j[2] * j[3] for j in jobs), "core")
if need(tap, PHILLY):
    rows = csv_rows(PHILLY)
    seconds = sum(float(r["duration"]) * int(r["num_gpus"]) for r in rows)
    totals(tap, "Philly", PHILLY, len(rows), seconds, "gpu")
    totals(tap, "Philly, six times as fast", PHILLY, len(rows), seconds, "gpu", "--load", "6", "--policy", "fcfs")
for path in POLLUX:
    if need(tap, path):
        hours = {"cifar10": 0.1, "ncf": 0.1, "deepspeech2": 10, "bert": 10, "yolov3": 1000,
                 "imagenet": 100000}  # their squares
        rows = csv_rows(path)
        seconds = sum(3600 * hours[r["application"]] ** 0.5 for r in rows)
        totals(tap, os.path.basename(path), path, len(rows), seconds, "gpu")
if need(tap, OPENB_NODES):
    path = os.path.join(OPENB, "openb_pod_list_default.csv")
    r = simulate("--trace", path, "--nodes", OPENB_NODES)
    tap.equal(r["jobs_completed"] + r["jobs_refused"], len(csv_rows(path)),
              "openb by its own times: every task completed or was refused")
    r = simulate("--trace", path, "--nodes", OPENB_NODES, "--arrive", "1.3", "--seed", "42")
    tap.ok(r["tasks_arrived"] == r["tasks_placed"] + r["tasks_dropped"] and
           len(r["gpu_allocation_by_arrival"]) == 131 and r["gpu_allocation_by_arrival"][50] > 49,
           "openb by arrivals: every task was placed or dropped; 130 % were asked for", r)
tap.done()
