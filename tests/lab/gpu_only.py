"""A verb for the tests: the GPU's stack alone, as in cluster.py; `--data steps=asked` goes no further than that."""

from dataclasses import replace

from pyinfra.context import host

from roles import base, gpu
from roles.lib.board import GPU_REMAINS, board
from roles.lib.end import every_node_answers

lab, name = host.data.lab, host.name
every_node_answers(host.state)
board(host.state, GPU_REMAINS)[name] = True  # preflight's word
steps = host.data.get("steps", "asked gpu tidy").split()
gpu.asked(plan=gpu.plan.plan(lab, name))
if "gpu" in steps:
    base.base(plan=replace(base.plan.plan(lab, name), own_clock=False))  # the hosts have their machine's
    gpu.gpu(plan=gpu.plan.plan(lab, name))
if "tidy" in steps:
    gpu.tidy(plan=gpu.plan.plan(lab, name))
