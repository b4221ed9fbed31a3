"""What the product says in English, in other languages: texts of pages and reports, and sentences of the API."""
