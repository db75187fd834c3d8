"""The cache of a worker's RPC server: what is kept of the weights that were sent, checked and bounded."""
