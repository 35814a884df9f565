"""Games of self-play, one folder each."""
