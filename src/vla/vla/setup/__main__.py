"""``python -I -S src/vla/vla/setup/__main__.py [--check] [--force]``: how the script ``vla`` calls the set-up."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]
sys.path[:0] = [str(ROOT / "src" / "vla"), str(ROOT / "src" / "vla_core")]  # nothing is installed yet

from vla.setup.main import main  # noqa: E402

sys.exit(main(ROOT, sys.argv[1:]))
