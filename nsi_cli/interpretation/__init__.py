"""A look inside a model: predictions are collected, drawn, and written as one page."""
