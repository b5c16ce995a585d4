#!/usr/bin/env python3
"""PyTorch in a virtual environment of its own, for the tests and benchmarks that need a real one.

    from torch_env import python
    interpreter = python()      # its path, or None after saying on stdout (as a TAP comment) why not

It lies in build/torch, or where MUSTER_TORCH_VENV says, is made by the first that asks (about a
minute and 4.4 GB), and is made anew when what is pinned here has changed. Only the processor is
used, but the wheel on PyPI is linked to CUDA's libraries and is not loaded without these; what its
own list of requirements names beyond them (cuSOLVER, NVRTC, NVTX, Triton) is left out.

Run as a program it makes the environment and prints the interpreter's path.
"""
import fcntl
import hashlib
import os
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TIMEOUT_S = 900
PINNED = """
torch==2.7.1
filelock==3.18.0
fsspec==2025.5.1
jinja2==3.1.6
markupsafe==3.0.2
mpmath==1.3.0
networkx==3.4.2
numpy==2.2.6
sympy==1.13.3
typing_extensions==4.12.2
nvidia-cublas-cu12==12.6.4.1
nvidia-cuda-cupti-cu12==12.6.80
nvidia-cuda-runtime-cu12==12.6.77
nvidia-cudnn-cu12==9.5.1.17
nvidia-cufft-cu12==11.3.0.4
nvidia-cufile-cu12==1.11.1.6
nvidia-curand-cu12==10.3.7.77
nvidia-cusparse-cu12==12.5.4.2
nvidia-cusparselt-cu12==0.6.3
nvidia-nccl-cu12==2.26.2
nvidia-nvjitlink-cu12==12.6.85
""".split()


def folder():
    return os.path.abspath(os.environ.get("MUSTER_TORCH_VENV") or os.path.join(TOP, "build", "torch"))


def make(where, marker):
    """Makes the environment; returns why it could not, or None."""
    interpreter = os.path.join(where, "bin", "python")
    for command in ([sys.executable, "-m", "venv", "--clear", where],
                    [interpreter, "-m", "pip", "install", "-q", "--no-deps", "--no-cache-dir",
                     "--only-binary", ":all:", *PINNED],
                    [interpreter, "-c", "import torch; assert torch.distributed.is_gloo_available()"]):
        try:
            run = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S,
                                 stdin=subprocess.DEVNULL, check=False)
        except (OSError, subprocess.TimeoutExpired) as why:
            return str(why)
        if run.returncode:
            return (run.stderr or run.stdout).strip()[-500:] or f"status {run.returncode}"
    with open(marker, "w", encoding="utf-8"):
        pass
    return None


def python():
    """The environment's interpreter, or None when it cannot be made; the reason is printed."""
    where = folder()
    pins = hashlib.sha256(" ".join([sys.version, *PINNED]).encode()).hexdigest()[:16]
    marker = os.path.join(where, f"ready-{pins}")
    os.makedirs(os.path.dirname(where), exist_ok=True)
    with open(where + ".lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        why = None if os.path.exists(marker) else make(where, marker)
    if why:
        for line in ["PyTorch's environment could not be made:"] + why.splitlines():
            print(f"# {line}", flush=True)
        return None
    return os.path.join(where, "bin", "python")


if __name__ == "__main__":
    path = python()
    print(path or "none")
    sys.exit(0 if path else 1)
