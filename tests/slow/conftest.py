"""What the slow tier borrows from the lab tier."""

from tests.lab.conftest import shapes as shapes
