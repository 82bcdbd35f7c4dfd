"""Makes the environment that everything else runs in. Only the standard library, and Python 3.10: it runs before anything is installed."""
