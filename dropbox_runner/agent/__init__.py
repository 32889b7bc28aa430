"""The claude process: command line, environment, start, adopt, stop, sweep. The only code that starts processes."""
