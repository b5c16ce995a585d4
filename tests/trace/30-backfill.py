#!/usr/bin/env python3
"""Backfill beside the book: EASY and conservative backfill computed here in a few lines, with known
run times on processors that any job can use, must give the mean wait that the core gives, but for the
order of what happens in one instant."""
import bisect
import heapq
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from traces import NASA, Tap, need, simulate_jobs, swf  # noqa: E402


def easy(jobs, processors):
    """Start of each job (Lifka 1995): the first that waits has the earliest time at which enough
    processors are free; others start before it if they end by then or leave it its processors."""
    free, starts, queue, ends, at = processors, {}, [], [], 0
    while at < len(jobs) or ends:
        now = min(jobs[at][1] if at < len(jobs) else float("inf"),
                  ends[0][0] if ends else float("inf"))
        while ends and ends[0][0] <= now:
            free += heapq.heappop(ends)[1]
        while at < len(jobs) and jobs[at][1] <= now:
            queue.append(jobs[at])
            at += 1
        left, shadow, spare = [], None, 0
        for job in queue:
            number, _, run, procs = job
            if procs <= free and (shadow is None or now + run <= shadow or procs <= spare):
                if shadow is not None and now + run > shadow:
                    spare -= procs
                free -= procs
                starts[number] = now
                heapq.heappush(ends, (now + run, procs))
                continue
            left.append(job)
            if shadow is None:
                spare = free
                for end, back in sorted(ends):
                    if spare >= procs and end > shadow:
                        break
                    shadow, spare = end, spare + back
                spare -= procs
        queue = left
    return starts


def conservative(jobs, processors):
    """Start of each job (Feitelson and Weil 1998): the first hole in the plan of all before it."""
    times, free, starts = [0.0], [processors], {}
    for number, submit, run, procs in jobs:
        i = bisect.bisect_right(times, submit) - 1
        while True:
            begin = max(times[i], submit)
            k = i
            while k < len(times) and (k == i or times[k] < begin + run) and free[k] >= procs:
                k += 1
            if k == len(times) or (k > i and times[k] >= begin + run):
                break
            i = k + 1
        starts[number] = begin
        for t in (begin, begin + run):
            p = bisect.bisect_left(times, t)
            if p == len(times) or times[p] != t:
                times.insert(p, t)
                free.insert(p, free[p - 1])
        for p in range(bisect.bisect_left(times, begin), bisect.bisect_left(times, begin + run)):
            free[p] -= procs
    return starts


def mean_wait(jobs, starts):
    return sum(starts[number] - submit for number, submit, _, _ in jobs) / len(jobs)


def compare(tap, policy, book, factor, tolerance):
    jobs = [(n, submit / factor, run, procs) for n, submit, run, procs in swf(NASA)]
    want = mean_wait(jobs, book(jobs, 128))
    result, rows = simulate_jobs("--trace", NASA, "--policy", policy, "--load", str(factor))
    strict, _ = simulate_jobs("--trace", NASA, "--policy", "fcfs", "--load", str(factor))
    got = result["wait_s"]["mean"]
    tap.ok(len(rows) == len(jobs) and abs(got - want) <= tolerance * want and
           got < strict["wait_s"]["mean"],
           f"NASA iPSC at {factor} x load, {policy}: mean wait {got:.1f} s, by the book {want:.1f} s, "
           f"in strict order {strict['wait_s']['mean']:.1f} s")


tap = Tap()
if need(tap, NASA):
    compare(tap, "easy", easy, 1, 0.001)
    compare(tap, "easy", easy, 1.6, 0.03)
    compare(tap, "conservative", conservative, 1, 0.001)
tap.done()
