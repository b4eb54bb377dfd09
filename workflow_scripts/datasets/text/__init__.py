"""Text: how it is read, prepared once as token numbers, put into batches, and a small language of our own."""
