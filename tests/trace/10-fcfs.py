#!/usr/bin/env python3
"""The simulator tells the truth: in strict order, on processors that any job can use, the start of
every job must be that of a first come, first served queue computed here in a few lines."""
import heapq
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from traces import LCG, NASA, Tap, need, simulate_jobs, swf  # noqa: E402


def fcfs(jobs, processors):
    """(number, start) of each job: none starts before the one ahead of it."""
    free, now, ends, starts = processors, 0.0, [], []
    for number, submit, run, procs in jobs:
        now = max(now, submit)
        while ends and ends[0][0] <= now or free < procs:
            end, back = heapq.heappop(ends)
            now, free = max(now, end), free + back
        free -= procs
        heapq.heappush(ends, (now + run, procs))
        starts.append((number, now))
    return starts


def compare(tap, name, path, processors, factor, *options):
    jobs = [(n, submit / factor, run, procs) for n, submit, run, procs in swf(path)]
    first = jobs[0][1]
    want = [(n, round(start - first, 3)) for n, start in fcfs(jobs, processors)]
    result, rows = simulate_jobs("--trace", path, "--policy", "fcfs", *options)
    got = [(int(r["job"]), float(r["start_s"])) for r in rows]
    wrong = [(g, w) for g, w in zip(got, want) if abs(g[1] - w[1]) > 0.0011 or g[0] != w[0]]
    waited = sum(start > submit - first for (_, start), (_, submit, _, _) in zip(want, jobs))
    tap.ok(len(got) == len(want) and not wrong and waited,
           f"{name}: the starts of all {len(want)} jobs, of which {waited} waited",
           f"{len(got)} jobs, {len(wrong)} differ: (job, start) {wrong[:5]}")
    tap.equal(result["jobs_completed"], len(want), f"{name}: every job completed")


tap = Tap()
if need(tap, NASA):
    compare(tap, "NASA iPSC", NASA, 128, 1)
    compare(tap, "NASA iPSC on 32 nodes of 4", NASA, 128, 1, "--nodes", "n[1-32] cores=4")
    compare(tap, "NASA iPSC, twice as fast", NASA, 128, 2, "--load", "2")
if need(tap, LCG):
    compare(tap, "LCG, 40 times as fast", LCG, 24515, 40, "--load", "40")
tap.done()
