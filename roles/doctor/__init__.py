"""The doctor: looks at a box that may know nothing of us, and says what would stop or hurt it. Read only."""
