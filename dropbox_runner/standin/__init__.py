"""A stand-in for the claude command line: it speaks the same protocol and plays a scenario instead of asking a model.

`dropbox-runner demo` shows the whole story with it, without an account and without cost, and the quick tests run it
where the real one would take half a second and a network. It uses the standard library only and says in its first line
what it is. scenario.py says what a scenario looks like, steps.py what each step in it does.
"""
