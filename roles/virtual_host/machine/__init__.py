"""Scripts that run beside pyinfra, on the machine that has the virtual hosts. Standard library only."""
