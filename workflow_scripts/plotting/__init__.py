"""From tidy tables to figures and tables, in one style; never torch, so that a restyled figure costs no training."""
