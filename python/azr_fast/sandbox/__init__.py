"""Running programs in azr-sandboxd, and the plain values that go in and come out."""
