"""From networks to words, and how good the words are: beam search and BLEU, answers and their scores."""
