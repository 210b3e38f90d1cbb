"""The statements, in groups: each with its check, its derivation and its faults."""
