"""What everything else stands on: errors in one sentence, files that appear whole, the stage runner."""
