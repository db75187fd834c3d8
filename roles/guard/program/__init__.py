"""The guard: a program of a node's own that restarts its llama.cpp servers where they are dead and do not say so.

On a node this folder is the package `guard` (roles/guard places it), run by the system's python3: standard library
only, 3.11 or newer. `seen` is what it looks at, `life` what moves in it, `worker`, `server` and, for both, `service`
say what is wrong with that, `decide` when to act; these are pure. `look`, `api`, `journal` and `act` touch the machine,
`watch` brings it together for one service, `__main__` is the loop.

It never connects to an RPC port: llama.cpp's RPC server takes one client at a time, and whoever queues behind it does
harm.
"""
