#!/usr/bin/env python3
"""What a machine can hold of how the code is written. Prints each finding as path:line: text.

Layers (includes run downward), purity of the cores (symbols of their objects), banned functions,
sizes of files and functions, headers that say what they are.
"""
import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CODE = ["common", "proto", "scheduler", "agent", "simulate", "schedctl", "kernels", "tests"]

# Who may include what, by directory prefix. A directory may always include itself.
LAYERS = {
    "common": [],
    "proto": ["common"],
    "scheduler/core": ["common"],
    "agent/core": ["common", "proto"],
    "agent/host": ["common"],
    "agent/inventory": ["common"],
    "scheduler/shell": ["common", "proto", "scheduler/core"],
    "agent/shell": ["common", "proto", "agent/core", "agent/host", "agent/inventory"],
    "agent/shepherd": ["common", "proto", "agent/core", "agent/host"],
    "agent/report": ["common"],
    "simulate": ["common", "scheduler/core"],
    "schedctl": ["common", "simulate"],
    "kernels": ["common"],
}

# One file (by prefix) knows each outside library.
LIBRARIES = {
    "sqlite3.h": ["scheduler/shell/store", "scheduler/shell/query"],
    "libwebsockets.h": ["scheduler/shell/http", "agent/shell/link"],
    "hwloc.h": ["agent/inventory/topology", "agent/shepherd/plugin_pmix"],
    "pmix_server.h": ["agent/shepherd/plugin_pmix"],
    "pmix.h": ["agent/shepherd/plugin_pmix"],
    "libfyaml.h": ["schedctl/"],
    "curl/curl.h": ["schedctl/"],
    "cblas.h": ["kernels/"],
    "dnnl.h": ["kernels/onednn"],
    "omp.h": ["kernels/onednn"],
    "mpi.h": ["kernels/"],
}

BANNED = {
    "strcpy": "snprintf or memcpy of a known size",
    "strcat": "text_add",
    "sprintf": "snprintf or text_addf",
    "vsprintf": "vsnprintf",
    "gets": "fgets",
    "strtok": "strtok_r or strcspn",
    "atoi": "parse_int",
    "malloc": "xmalloc",
    "calloc": "xcalloc",
    "realloc": "xrealloc",
    "strdup": "xstrdup",
    "system": "posix_spawn",
    "popen": "posix_spawn",
    "rand": "common/rng.h",
    "usleep": "wait for the event",
    "alloca": "an arena",
}
BANNED_EXCEPT = {"common/alloc.c": {"malloc", "calloc", "realloc", "strdup"}}

IMPURE = re.compile(
    r"^(clock_gettime|time|gettimeofday|open|openat|read|write|socket|connect|send|recv|getenv|"
    r"rand|random|getrandom|pthread_.*|fopen|fprintf|printf|puts|stderr|stdout|uv_.*|log_event|"
    r"fork|kill|nanosleep|usleep)$"
)

findings = []


def find(path, line, text):
    findings.append(f"{os.path.relpath(path, TOP)}:{line}: {text}")


def sources():
    for top in CODE:
        for folder, _, names in os.walk(os.path.join(TOP, top)):
            for name in sorted(names):
                if name.endswith((".c", ".h")):
                    yield os.path.join(folder, name)


def layer_of(rel):
    best = None
    for layer in LAYERS:
        if rel.startswith(layer + "/") and (best is None or len(layer) > len(best)):
            best = layer
    return best


def check_includes(path, rel, lines):
    layer = layer_of(rel)
    for n, line in enumerate(lines, 1):
        m = re.match(r'#include "([^"]+)"', line)
        if m and layer is not None:
            target = layer_of(m.group(1))
            if target and target != layer and target not in LAYERS[layer]:
                find(path, n, f"{layer} must not include {m.group(1)}")
        m = re.match(r"#include <([^>]+)>", line)
        if m and m.group(1) in LIBRARIES and not rel.startswith("tests/"):
            if not any(rel.startswith(p) for p in LIBRARIES[m.group(1)]):
                find(path, n, f"<{m.group(1)}> belongs to {', '.join(LIBRARIES[m.group(1)])} alone")


def strip(line):
    line = re.sub(r'"(\\.|[^"\\])*"', '""', line)
    return re.sub(r"//.*", "", line)


def check_banned(path, rel, lines):
    for n, line in enumerate(lines, 1):
        for m in re.finditer(r"(?<![\w.>])(\w+)\s*\(", strip(line)):
            word = m.group(1)
            if word in BANNED and word not in BANNED_EXCEPT.get(rel, ()):
                find(path, n, f"{word}() is banned: use {BANNED[word]}")


def check_sizes(path, rel, lines):
    if len(lines) > 800:
        find(path, 1, f"{len(lines)} lines: this is two files")
    start = None
    for n, line in enumerate(lines, 1):
        if line.startswith("{"):
            start = n
        elif line.startswith("}") and start:
            if n - start > 90:
                find(path, start, f"a function of {n - start} lines does not fit a screen")
            start = None


def check_header(path, rel, lines):
    if rel.endswith(".h") and not (lines and lines[0].startswith("//")):
        find(path, 1, "a header opens with what it is")
    if rel.endswith(".h") and not any(l.startswith("#pragma once") for l in lines):
        find(path, 1, "a header has #pragma once")


def check_purity():
    for core in ("scheduler_core", "agent_core"):
        lib = os.path.join(TOP, "build", "release", f"lib{core}.a")
        if not os.path.exists(lib):
            find(lib, 1, "not built: run make first")
            continue
        out = subprocess.run(["nm", "-u", lib], capture_output=True, text=True, check=True).stdout
        for line in out.splitlines():
            m = re.match(r"\s+U (\w+)", line)
            if m and IMPURE.match(m.group(1)):
                find(lib, 1, f"a core must not use {m.group(1)}")


def check_format(paths):
    run = subprocess.run(["clang-format", "--dry-run", "--Werror"] + paths, cwd=TOP,
                         capture_output=True, text=True)
    for line in run.stderr.splitlines():
        m = re.match(r"(.*):(\d+):\d+: error:", line)
        if m:
            find(m.group(1), m.group(2), "is not formatted: run clang-format -i")


def main():
    paths = list(sources())
    for path in paths:
        rel = os.path.relpath(path, TOP)
        with open(path, encoding="utf-8") as f:
            lines = f.read().splitlines()
        check_includes(path, rel, lines)
        check_banned(path, rel, lines)
        check_sizes(path, rel, lines)
        check_header(path, rel, lines)
    check_format(paths)
    check_purity()
    for line in findings:
        print(line)
    print(f"lint: {len(paths)} files, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
