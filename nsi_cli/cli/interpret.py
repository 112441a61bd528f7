def interpret() -> None:
    """x"""
