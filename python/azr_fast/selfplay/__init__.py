"""Self-play, whatever the game: tasks, buffers, rewards, advantages and the loop."""
