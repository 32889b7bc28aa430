"""Drop a task file into a folder; claude works on it and asks by leaving a file."""

__version__ = "0.1.0"
