"""Makes the lab match the inventory: pyinfra inventory/lab.py deploys/cluster.py

Services that use a library which was upgraded since are restarted too, workers first: --data renew=yes.
"""

from pyinfra.context import host

from roles import (
    base,
    endpoints,
    firewall,
    gpu,
    guard,
    kernel,
    link_proof,
    llama_cpp,
    llama_server,
    models,
    network,
    preflight,
    quiet,
    rpc_server,
    tuning,
    verify,
)
from roles.lib.end import announce, every_node_answers
from roles.lib.said import said_yes

lab, name = host.data.lab, host.name

again, renew = said_yes(host.data, "prove"), said_yes(host.data, "renew")
every_node_answers(host.state)
announce(host.state)

preflight.preflight(plan=preflight.plan.plan(lab, name))
gpu.asked(plan=gpu.plan.plan(lab, name))
kernel.kernel(plan=kernel.plan.plan(lab, name))
tuning.tuning(plan=tuning.plan.plan(lab, name))
quiet.quiet(plan=quiet.plan.plan(lab, name))
base.base(plan=base.plan.plan(lab, name))
gpu.gpu(plan=gpu.plan.plan(lab, name))
endpoints.endpoints(plan=endpoints.plan.plan(lab, name))
firewall.firewall(plan=firewall.plan.plan(lab, name))
network.naming(plan=network.names.plan(lab, name))
link_proof.addresses(plan=link_proof.plan.plan(lab, name), again=again)
network.network(plan=network.plan.plan(lab, name))
link_proof.links(plan=link_proof.plan.links(lab, name), again=again)
llama_cpp.llama_cpp(plan=llama_cpp.plan.plan(lab, name))
models.models(plan=models.plan.plan(lab, name))
llama_server.connections(plan=llama_server.plan.plan(lab, name))
rpc_server.rpc_server(plan=rpc_server.plan.plan(lab, name), renew=renew)
llama_server.llama_server(plan=llama_server.plan.plan(lab, name), renew=renew)
guard.guard(plan=guard.plan.plan(lab, name))
gpu.tidy(plan=gpu.plan.plan(lab, name))
verify.verify(plan=verify.plan.plan(lab, name))
