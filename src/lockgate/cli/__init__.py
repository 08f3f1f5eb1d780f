"""Arguments in, exit codes out.

For: the `lockgate` command; every subcommand is one file here.
Not for: behaviour: commands call `app`, `control` and `config`.
"""
