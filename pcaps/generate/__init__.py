"""The generator of the fixture corpus: a small simulation that never imports the code under test."""
