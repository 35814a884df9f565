"""The command line: `azr-fast train | models | sandbox | report | doctor`."""
