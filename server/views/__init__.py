"""What both the API and the command line show."""
