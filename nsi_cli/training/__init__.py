"""Training: its options, the loop, the schedule, checkpoints and logs."""
