"""The engine: requests in, events out. See `engine.py` for the step and `scheduler.py` for what runs when."""
