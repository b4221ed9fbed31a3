"""What every route shares: signing in, reading bodies, problem documents."""
