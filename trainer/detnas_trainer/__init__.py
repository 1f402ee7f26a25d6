"""detnas_trainer executes one job: evolve, train, distil, evaluate, fine-tune, export."""
