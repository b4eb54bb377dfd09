"""What everything else stands on: errors told in one sentence, files that appear whole, the stage runner."""
