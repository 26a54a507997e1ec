"""The `sigma` command. Each sub-command is a module of its own, imported when it is used."""
