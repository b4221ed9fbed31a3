"""What every route shares: who asks, bodies, problem documents."""
