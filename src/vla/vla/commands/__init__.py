"""The commands: one file each. See :mod:`vla.cli` for what such a file holds."""
