"""Makes the environment that everything else runs in. It runs before anything is installed: only the standard library."""
