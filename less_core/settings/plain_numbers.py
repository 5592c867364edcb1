"""How an amount is written in names and labels."""


def plain(amount: float) -> str:
    """Return ``24``, ``2000000`` or ``0.05``: every digit, so that two amounts never look alike."""
    return str(int(amount)) if amount == int(amount) else repr(amount)
