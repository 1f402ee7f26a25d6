"""Commands that take detectors of a search out of the store, and measure or share them."""
