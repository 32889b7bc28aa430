"""The command line: one module per command. A command writes the same files that a person could write, nothing else."""
