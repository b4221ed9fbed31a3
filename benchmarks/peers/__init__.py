"""The same questions, asked of Rowless, of plain DuckDB and of other tools for differential privacy."""
