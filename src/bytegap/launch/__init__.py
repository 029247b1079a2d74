"""Train the runs of a plan: in local worker processes, on the devices of torchrun, or as Slurm jobs."""
