"""The command line: one file a command, results on standard output, all else on standard error."""
