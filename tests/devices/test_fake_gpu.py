"""Fits on a stand-in for a GPU, which has the rules of CUDA and NCCL."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CASES = ["dec", "idec_on_device", "empty_clusters", "dcn", "mini_batch", "deeptype_class", "deeptype_survival"]
BAD = {
    "two devices": "torch.zeros(2, device=GPU) + torch.zeros(2)",
    "index of the device": "torch.zeros(2)[torch.zeros(1, dtype=torch.int64, device=GPU)]",
    "values in main memory": "torch.zeros(2, device=GPU)[torch.tensor([0, 1])] = torch.zeros(2)",
    "generator": "torch.rand(2, generator=torch.Generator(), device=GPU)",
    "numpy": "torch.zeros(2, device=GPU).numpy()",
    "collective": "dist.all_reduce(torch.zeros(2))",
    "not contiguous": "dist.all_reduce(torch.zeros(2, 3, device=GPU).T)",
}
GOOD = [
    "(torch.zeros(2, device=GPU) + torch.tensor(1.0)).sum().item()",
    "torch.zeros(2).to(GPU).cpu().numpy()",
    "torch.zeros(2, device=GPU)[torch.tensor([0])]",
    "torch.rand(2, generator=torch.Generator(device=GPU), device=GPU)",
    "(torch.ones(2, device=GPU, requires_grad=True) * 2).sum().backward()",
]


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def execute(statements: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = f"import sys; sys.path.insert(0, {str(HERE)!r})\n"
    imports = "import torch, torch.distributed as dist\nfrom fake_gpu import *\n"
    return run([sys.executable, "-c", path + imports + statements], folder)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("world_size", [1, pytest.param(2, marks=pytest.mark.distributed)])
def test_fits_break_no_rule_of_a_gpu(case: str, world_size: int, tmp_path: Path) -> None:
    start = [] if world_size == 1 else ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={world_size}"]
    ended = run([sys.executable, *start, str(HERE / "fits_on_fake_gpu.py"), case], tmp_path)
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert f"{case} broke no rule" in ended.stdout


def test_the_stand_in_finds_what_a_gpu_refuses(tmp_path: Path) -> None:
    checks = "".join(
        f"try:\n    with Rules():\n        {code}\n    print('missed', {name!r})\nexcept RuleBrokenError: pass\n"
        for name, code in BAD.items()
    )
    ended = execute(checks + "print('end')", tmp_path)
    assert ended.stdout == "end\n", ended.stdout + ended.stderr[-2000:]


def test_the_stand_in_allows_the_rest(tmp_path: Path) -> None:
    ended = execute("".join(f"with Rules():\n    {code}\n" for code in GOOD) + "print('end')", tmp_path)
    assert ended.stdout == "end\n", ended.stderr[-2000:]
