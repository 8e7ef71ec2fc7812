"""pyinitctl: the client of the control socket. It imports little, because a health check runs it every few seconds."""
