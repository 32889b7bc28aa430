"""The folders on disk: the only code that knows paths. Every durable write and move goes through `durable`."""
