"""What the slow tier borrows from the lab tier."""

from tests.lab.test_shapes import shapes as shapes
