"""What is running, on what, how fast the links are: for deploys/status.py. Reads only."""
