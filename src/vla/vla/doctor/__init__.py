"""What is right and what is wrong with this machine: one finding for each thing that the suite depends on."""
