"""What a server holds while it runs: settings, open stores, response slots, health."""
