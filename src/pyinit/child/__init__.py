"""What main is, besides its command: user, limits, environment, descriptors and the like; what pyinit itself is not.

Imported only where an option of the group "command" is given. What they say is read and checked by `plan` before
anything starts; what comes of it is a list of steps, which the forked child takes before it executes the command.
"""
