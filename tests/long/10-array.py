#!/usr/bin/env python3
"""An array of 10,000 elements on real processes: each element once, nothing given out twice."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
from muster import Cluster, Tap, eventually

COUNT = 10_000
tap = Tap()
with Cluster(nodes=2, cpus=4) as c:
    job = c.submit("--array", f"0-{COUNT - 1}", "--", "sh", "-c",
                   f"echo $MUSTER_ARRAY_INDEX.$MUSTER_ATTEMPT_NUMBER >> {c.file('log')}")
    tap.equal(c.wait(job, timeout=300), 0, f"an array of {COUNT} completes")
    ran = sorted(c.read("log").split())
    tap.ok(ran == sorted(f"{i}.1" for i in range(COUNT)), "each element ran once", len(ran))
    tap.ok(eventually(c.all_free, 10), "everything is free")
    tap.ok(c.never_over(), "no core was given out twice, by the events")
tap.done()
