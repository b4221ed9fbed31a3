"""What all pages share: calls of the API, sessions, languages, and how a page is rendered."""
