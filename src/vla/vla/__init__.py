"""The package that ties the suite together: launch files, configuration, the command line and the set-up."""
