"""What comes back: answers, rehearsals and estimates, as tables, frames, charts and HTML."""
