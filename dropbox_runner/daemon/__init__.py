"""The daemon: doorbell, watcher, lock, and the loop in which everything meets."""
