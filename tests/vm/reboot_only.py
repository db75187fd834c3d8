"""pyinfra's own reboot. It compares uptimes, so the machine must have been up for longer than its boot takes."""

from pyinfra.operations import server

server.reboot(name="reboot", delay=5, reboot_timeout=600)
