"""What a run in any mode needs: the strategy file, the first state, the decision engine, checkpoints."""
