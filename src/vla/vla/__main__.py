"""``python -m vla``."""

from vla.cli import main

main()
