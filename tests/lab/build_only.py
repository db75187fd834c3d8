"""A verb for the tests: only what it takes to build and install a release."""

from pyinfra.context import host

from roles import base, gpu, llama_cpp

lab, name = host.data.lab, host.name
base.base(plan=base.plan.plan(lab, name))
gpu.gpu(plan=gpu.plan.plan(lab, name))
llama_cpp.llama_cpp(plan=llama_cpp.plan.plan(lab, name))
