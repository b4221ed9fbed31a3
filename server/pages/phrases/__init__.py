"""What the API says in English, in the language of a page."""
