"""A look inside a model: findings are collected, drawn, and written as one page."""
