"""The pictures of the demo corpus: drawn charts, exported photographs and re-posted copies."""
