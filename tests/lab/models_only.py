"""A verb for the tests: only what it takes to have the models."""

from pyinfra.context import host

from roles import base, models

lab, name = host.data.lab, host.name
base.base(plan=base.plan.plan(lab, name))
models.models(plan=models.plan.plan(lab, name))
