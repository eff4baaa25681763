"""The ``cytomrd`` command: options, messages, exit codes; no science."""
