"""The control socket: says what runs, and takes requests, from those who may ask."""
